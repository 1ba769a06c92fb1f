"""Statistics by lag against ratios taken one by one, and against gradients whose decay is known."""

import math

import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.analysis import GradientFlow, lag_profile, log_ratios
from lm_jax.analysis.trajectory import main_leaf


T, B = 30, 5


def flow_of(output, h, c=None):
    """A flow of one layer from norms: output [B, T], h and c [B, T, T] of which j < i counts."""
    steps = output.shape[1]
    past = np.tri(steps, k=-1, dtype=bool)
    with np.errstate(divide="ignore"):
        leaves = {"h": np.log(np.where(past, h, 0.0))} | ({} if c is None else {"c": np.log(np.where(past, c, 0.0))})
        return GradientFlow(np.log(output), ({**leaves, "all": leaves["h"]},), steps - 1)


def random_flow(seed=0):
    """Norms without any order, a tenth of them 0, one position without any gradient."""
    generator = np.random.default_rng(seed)
    output, h = generator.exponential(size=(B, T)), generator.exponential(size=(B, T, T))
    h *= generator.random(h.shape) > 0.1
    output[1, 20] = h[1, 20] = 0.0
    return output, h, generator.exponential(size=(B, T, T))


def geometric(rates, log_size=0.0, steps=T):
    """G[i, j] = size_i * rate^(i-j) for one text a rate, given as logs: nothing is too small."""
    lag = np.subtract.outer(np.arange(steps), np.arange(steps)).astype(float)
    logs = log_size + np.multiply.outer(np.log(rates), lag) + np.arange(steps)[:, None]
    h = np.where(lag > 0, logs, -np.inf)
    output = np.broadcast_to(np.reshape(log_size, (-1, 1)) + np.arange(steps, dtype=float), h.shape[:2])
    return GradientFlow(output, ({"h": h, "c": h, "all": h},), steps - 1)


def ratios_one_by_one(output, g, leaf, lag, first=0):
    """r [text][...] by the definition; positions without a gradient to divide by are left out."""
    texts = []
    for b in range(B):
        bases = {i: output[b, i] if leaf == "h" else g[b, i, i - 1] for i in range(max(lag, first), T)}
        texts.append([g[b, i, i - lag] / base for i, base in bases.items() if base > 0])
    return texts


@pytest.mark.parametrize("first", [0, 7])
@pytest.mark.parametrize("leaf", ["h", "c"])
def test_every_statistic_is_that_of_the_ratios(leaf, first):
    output, h, c = random_flow()
    profile = lag_profile(flow_of(output, h, c), leaf=leaf, first=first, quantiles=(0.1, 0.25, 0.9))
    np.testing.assert_array_equal(profile.lags, np.arange(1, T))
    for k, lag in enumerate(profile.lags):
        texts = ratios_one_by_one(output, h if leaf == "h" else c, leaf, lag, first)
        r = np.concatenate(texts)
        assert profile.counts[k] == len(r)
        np.testing.assert_allclose(np.exp(profile.log_mean[k]), r.mean(), rtol=1e-12)
        for share, logs in {0.5: profile.log_median, **profile.log_quantiles}.items():
            expected = np.quantile(r, share, method="inverted_cdf")
            np.testing.assert_allclose(np.exp(logs[k]), expected, rtol=1e-12)
    assert set(profile.log_quantiles) == {0.1, 0.25, 0.9}


def test_band_is_that_of_medians_over_texts_drawn_anew():
    output, h, _ = random_flow()
    profile = lag_profile(flow_of(output, h), resamples=50, seed=3)
    drawn = np.random.default_rng(3).multinomial(B, np.full(B, 1 / B), size=50)
    for k in (0, 4, T - 2):
        texts = ratios_one_by_one(output, h, "h", k + 1)
        medians = []
        for times in drawn:
            values = np.concatenate([texts[b] for b in np.repeat(np.arange(B), times)])
            medians.append(np.quantile(values, 0.5, method="inverted_cdf"))
        for logs, share in zip(profile.log_band, (0.025, 0.975), strict=True):
            expected = np.quantile(medians, share, method="inverted_cdf")
            np.testing.assert_allclose(np.exp(logs[k]), expected, rtol=1e-12)
    assert np.all(profile.log_band[0] <= profile.log_median) and np.all(profile.log_median <= profile.log_band[1])
    again = lag_profile(flow_of(output, h), resamples=50, seed=3)
    np.testing.assert_array_equal(profile.log_band, again.log_band)


def test_one_text_has_no_band():
    assert lag_profile(geometric([0.9])).log_band is None
    assert lag_profile(geometric([0.9, 0.8]), resamples=0).log_band is None


@pytest.mark.parametrize("log_size", [0.0, -5000.0, 5000.0])
def test_horizons_of_a_geometric_decay(log_size):
    """0.8^10 = 0.107 and 0.8^11 = 0.086; 0.8^20 = 0.0115 and 0.8^21 = 0.0092; 0.8^4 = 0.41. At any scale."""
    profile = lag_profile(geometric([0.8], log_size, 80))
    np.testing.assert_allclose(profile.log_median, profile.lags * math.log(0.8), atol=1e-9)
    np.testing.assert_allclose(profile.log_mean, profile.lags * math.log(0.8), atol=1e-9)
    assert profile.horizons == {0.1: 11, 0.01: 21}
    assert profile.half_life == 4
    # 1 - 0.8^(l+1) first passes 0.95 at l = 13, lag 0 being the output's; of the same predictions, as sizes differ
    assert lag_profile(geometric([0.8], log_size, 160), max_lag=79, first=79).mass_lag == 13
    assert profile.factors.keys() == {(1, 20), (20, 60)}
    np.testing.assert_allclose(list(profile.factors.values()), 0.8, rtol=1e-9)


def test_a_leaf_without_lag_0_is_relative_to_lag_1():
    profile = lag_profile(geometric([0.8], steps=80), leaf="c")
    assert profile.log_median[0] == 0.0
    assert profile.horizons == {0.1: 12, 0.01: 22}
    assert profile.half_life == 5
    assert lag_profile(geometric([0.8], steps=160), leaf="c", max_lag=79, first=79).mass_lag == 14  # from lag 1 on


def test_what_never_falls_has_no_horizon():
    profile = lag_profile(geometric([1.0, 1.0], steps=25))
    assert profile.horizons == {0.1: None, 0.01: None}
    assert profile.half_life is None
    assert profile.factors == {(1, 20): pytest.approx(1.0), (20, 60): None}


def test_the_factor_is_of_the_range_asked_for():
    """Halves for ten steps, and then keeps 0.9."""
    steps = 40
    lag = np.maximum(np.subtract.outer(np.arange(steps), np.arange(steps)), 0)
    h = 0.5 ** np.minimum(lag, 10) * 0.9 ** np.maximum(lag - 10, 0)
    profile = lag_profile(flow_of(np.ones((1, steps)), h[None]), factor_lags=[(1, 10), (10, 39), (1, 39)])
    assert profile.factors[1, 10] == pytest.approx(0.5)
    assert profile.factors[10, 39] == pytest.approx(0.9)
    logs = np.log(h[-1, ::-1][1:])
    assert profile.factors[1, 39] == pytest.approx(np.exp(np.polyfit(np.arange(1, 40), logs, 1)[0]))


def test_mass_is_of_gradients_and_not_of_ratios():
    """A text whose gradients are a hundred times larger counts a hundred times."""
    flow = geometric([0.2, 0.9], np.array([math.log(100), 0.0])[:, None, None], 100)
    lags = np.arange(51)
    mass = np.cumsum(100 * 0.2**lags + 0.9**lags)
    expected = np.flatnonzero(mass >= 0.95 * mass[-1])[0]
    assert lag_profile(flow, max_lag=50, first=50).mass_lag == expected


def test_a_gradient_that_stops_is_minus_infinity_and_not_nan():
    lag = np.subtract.outer(np.arange(T), np.arange(T))
    flow = flow_of(np.ones((2, T)), np.broadcast_to(lag <= 3, (2, T, T)))
    profile = lag_profile(flow)
    statistics = [profile.log_median, profile.log_mean, *profile.log_quantiles.values(), *profile.log_band]
    for logs in statistics:
        np.testing.assert_array_equal(logs, np.where(profile.lags <= 3, 0.0, -np.inf))
    assert profile.horizons == {0.1: 4, 0.01: 4}
    assert profile.factors == {(1, 20): None, (20, 60): None}
    assert profile.mass_lag == 3


def test_no_gradient_at_all():
    profile = lag_profile(flow_of(np.zeros((2, T)), np.zeros((2, T, T))))
    assert not profile.counts.any()
    assert np.all(np.isnan(profile.log_median)) and np.all(np.isnan(profile.log_band))
    assert profile.mass_lag is None and profile.half_life is None


def test_lags_above_the_largest_are_not_looked_at():
    flow = geometric([0.8, 0.9])
    measured = np.subtract.outer(np.arange(T), np.arange(T)) <= 6
    cut = flow._replace(carry=({"h": np.where(measured, flow.carry[0]["h"], np.nan)},), max_lag=6)
    for profile in (lag_profile(cut), lag_profile(flow, max_lag=6)):
        np.testing.assert_array_equal(profile.lags, np.arange(1, 7))
        np.testing.assert_allclose(profile.log_median, profile.lags * math.log(0.8))  # of two, the lower
        np.testing.assert_array_equal(profile.counts, 2 * (T - profile.lags))
    assert set(lag_profile(flow, max_lag=6, first=6).counts) == {2 * (T - 6)}


def test_ratios_keep_texts_and_predictions():
    output, h, _ = random_flow()
    ratios = log_ratios(flow_of(output, h), 3)
    assert ratios.shape == (B, T - 3)
    np.testing.assert_allclose(ratios[2, 5], np.log(h[2, 8, 5] / output[2, 8]))
    assert np.isnan(ratios[1, 17])


FLOW = geometric([0.8, 0.9])
BROKEN = FLOW._replace(carry=({"h": np.full((2, T, T), np.nan)},))
MISTAKES = {
    "layer": (lambda: lag_profile(FLOW, layer=1), "layer must be from 0 to 0, or -1 for the top, got 1"),
    "layer by name": (lambda: lag_profile(FLOW, layer="0"), "layer must be from 0 to 0, or -1 for the top, got '0'"),
    "leaf": (lambda: lag_profile(FLOW, leaf="s"), "leaf must be one of h, c, all, got 's'"),
    "lag": (lambda: lag_profile(FLOW, max_lag=T), "among the lags measured, up to 29, got 30"),
    "no_lag": (lambda: lag_profile(FLOW, max_lag=0), "max_lag must be .* at least 1, got 0"),
    "first": (lambda: lag_profile(FLOW, first=T), "first must be one of the 30 predictions, .* got 30"),
    "quantile": (lambda: lag_profile(FLOW, quantiles=(0.5, 25)), "between 0 and 1, got 0.5, 25"),
    "horizon": (lambda: lag_profile(FLOW, horizons=(0.0,)), "between 0 and 1, got .*0.0"),
    "factor": (lambda: lag_profile(FLOW, factor_lags=[(1, 30)]), r"lags of 1 to 29, got \[\(1, 30\)\]"),
    "falling": (lambda: lag_profile(FLOW, factor_lags=[(5, 5)]), r"rising lags .* got \[\(5, 5\)\]"),
    "nan": (lambda: lag_profile(BROKEN), "gradients that are numbers"),
}


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert lag_profile(FLOW, max_lag=np.int64(2), layer=np.int64(0)).lags.tolist() == [1, 2]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()


def test_a_layer_without_an_output_state_speaks_by_all_its_leaves():
    assert main_leaf(["c", "h", "all"]) == "h"
    assert main_leaf(["re", "im", "all"]) == "all"
    assert main_leaf(["memory"]) == "memory"
