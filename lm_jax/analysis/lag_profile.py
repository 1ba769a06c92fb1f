"""The fall of the gradient with distance: the statistics of a gradient flow by lag, l = i - j.

    r(l) = G[i, i-l] / G[i, i]       for the leaf h: of what reaches the output at i, the share left l steps back
    r(l) = G[i, i-l] / G[i, i-1]     for any other leaf and for the whole carry, which have no gradient at lag 0

for each text and each prediction i, and then medians, means and quantiles over both. All of it is done with natural
logarithms in float64, where a gradient of 0 is -inf. Quantiles are values that were seen, without interpolation, so
that they are the same of r and of log r.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from lm_jax.analysis.checks import checked_layer
from lm_jax.analysis.gradient_flow import GradientFlow
from lm_jax.errors import UserError, check_sizes, one_of
from lm_jax.short_repr import shortly_shown


FACTOR_LAGS = ((1, 20), (20, 60))


@shortly_shown
class LagProfile(NamedTuple):
    """Statistics of r at the lags 1 .. L.

    lags, counts: each lag, and how many values of r it has (texts times predictions with that much past).
    log_median, log_mean: of r, the logarithm of each.
    log_quantiles: by share, such as 0.25.
    log_band: bootstrap band of the median, 95 % over texts, (lower, upper); None for one text.
    horizons: by threshold, such as 0.1, the smallest lag at which the median of r is below it; None if it never is.
    half_life: the same for 0.5.
    mass_lag: the smallest lag such that 95 % of the gradient norm, averaged over predictions and summed over the lags
        measured, is at most that far back; for h lag 0 counts too. None if there is no gradient.
    factors: by (first, last) lag, exp(slope of the least-squares line through log_median): what a step back multiplies
        the gradient by. None where the range was not measured or a median in it is 0.
    """

    lags: Int[np.ndarray, "L"]
    counts: Int[np.ndarray, "L"]
    log_median: Float[np.ndarray, "L"]
    log_mean: Float[np.ndarray, "L"]
    log_quantiles: dict[float, Float[np.ndarray, "L"]]
    log_band: tuple[Float[np.ndarray, "L"], Float[np.ndarray, "L"]] | None
    horizons: dict[float, int | None]
    half_life: int | None
    mass_lag: int | None
    factors: dict[tuple[int, int], float | None]


def lag_profile(
    flow: GradientFlow,
    *,
    layer: int = -1,
    leaf: str = "h",
    max_lag: int | None = None,
    first: int = 0,
    quantiles: Sequence[float] = (0.25, 0.75),
    horizons: Sequence[float] = (0.1, 0.01),
    factor_lags: Sequence[tuple[int, int]] | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> LagProfile:
    """Computes statistics of the gradient by lag, for one leaf of one layer.

    Args:
        flow: what `gradient_flow` measured.
        layer: the layer, counted from the input; -1 is the top.
        leaf: a leaf of the carry, such as "h" or "c", or "all".
        max_lag: the largest lag L. Default: all that was measured. The last lags have few values: see the counts.
        first: the first prediction that counts. With first = max_lag all lags have the same predictions; with less,
            long lags have late predictions only.
        quantiles: quantiles of r(l) to compute.
        horizons: shares of the gradient whose lags are looked for.
        factor_lags: ranges of lags of the per-step factors. Default: (1, 20) and (20, 60), as far as measured.
        resamples: bootstrap resamples of the texts, for the band.
        seed: seed of the resamples.

    Returns:
        The profile.

    Raises:
        UserError: for a layer, a leaf or lags that were not measured, and for gradients that are no numbers.
    """
    _check(flow, layer, leaf, [*quantiles, *horizons])
    largest = flow.max_lag if max_lag is None else max_lag
    check_sizes(max_lag=largest)
    if largest > flow.max_lag:
        raise UserError(f"max_lag must be among the lags measured, up to {flow.max_lag}, got {largest}", ["max_lag"])
    if not 0 <= first < flow.output.shape[1]:
        raise UserError(f"first must be one of the {flow.output.shape[1]} predictions, from 0, got {first}")
    ratios = list(_ratios_by_lag(flow, layer, leaf, largest, first))
    values = [np.sort(ratio[~np.isnan(ratio)]) for ratio in ratios]
    log_median = np.array([_quantile(v, 0.5) for v in values])
    ranges = FACTOR_LAGS if factor_lags is None else factor_lags
    if any(not 1 <= start < stop or (factor_lags is not None and stop > largest) for start, stop in ranges):
        raise UserError(f"factor_lags must be pairs (first, last) of rising lags of 1 to {largest}, got {factor_lags}")
    return LagProfile(
        lags=np.arange(1, largest + 1),
        counts=np.array([len(v) for v in values]),
        log_median=log_median,
        log_mean=np.array([_log_mean(v) for v in values]),
        log_quantiles={q: np.array([_quantile(v, q) for v in values]) for q in quantiles},
        log_band=_bootstrap(ratios, resamples, seed),
        horizons={threshold: _below(log_median, threshold) for threshold in horizons},
        half_life=_below(log_median, 0.5),
        mass_lag=_mass_lag(flow, layer, leaf, largest, first),
        factors={(start, stop): _factor(log_median, start, stop) for start, stop in ranges},
    )


def log_ratios(flow: GradientFlow, lag: int, *, layer: int = -1, leaf: str = "h") -> Float[np.ndarray, "B N"]:
    """Computes log r(lag) of each text and each prediction i = lag .. T-1.

    Args:
        flow: what `gradient_flow` measured.
        lag: the distance in steps.
        layer: the layer, counted from the input; -1 is the top.
        leaf: a leaf of the carry, such as "h" or "c", or "all".

    Returns:
        The logarithms [B, T - lag]; NaN where there is no gradient to divide by.
    """
    norms = flow.carry[layer][leaf]
    base = flow.output if leaf == "h" else np.pad(_diagonal(norms, 1), ((0, 0), (1, 0)), constant_values=-np.inf)
    base = base[:, lag:]
    with np.errstate(invalid="ignore"):
        return np.where(np.isneginf(base), np.nan, _diagonal(norms, lag) - base)


def _diagonal(norms, lag):
    """G at [b, i, i - lag], i = lag .. T-1."""
    return np.diagonal(norms, -lag, axis1=1, axis2=2)


def _ratios_by_lag(flow, layer, leaf, largest, first) -> Iterator[np.ndarray]:
    for lag in range(1, largest + 1):
        yield log_ratios(flow, lag, layer=layer, leaf=leaf)[:, max(0, first - lag) :]


def _quantile(ordered, share):
    """Returns the smallest value that at least this share of the values do not exceed; NaN for none."""
    if not len(ordered):
        return np.nan
    rank = int(np.ceil(share * len(ordered) - 1e-9))  # 0.1 * 30 is a little more than 3
    return ordered[max(rank, 1) - 1]


def _log_mean(logs):
    """Returns the log of the mean of exp(logs)."""
    top = np.max(logs, initial=-np.inf)
    if not logs.size or np.isneginf(top):
        return top if logs.size else np.nan
    return top + np.log(np.mean(np.exp(logs - top)))


def _below(log_median, threshold):
    """Returns the first lag whose median is below the threshold."""
    below = np.flatnonzero(log_median < np.log(threshold))
    return int(below[0]) + 1 if len(below) else None


def _factor(log_median, start, stop):
    """exp of the slope over the lags start .. stop."""
    logs = log_median[start - 1 : stop]
    if stop > len(log_median) or not np.all(np.isfinite(logs)):
        return None
    lags = np.arange(start, stop + 1) - (start + stop) / 2
    return float(np.exp(np.sum(lags * logs) / np.sum(lags**2)))


def _mass_lag(flow, layer, leaf, largest, first):
    """Returns the lag within which 95 % of the mean gradient norms lies."""
    norms = flow.carry[layer][leaf]
    means = [_log_mean(_diagonal(norms, lag)[:, max(0, first - lag) :]) for lag in range(1, largest + 1)]
    means = np.array([_log_mean(flow.output[:, first:]) if leaf == "h" else -np.inf, *means])
    if np.all(np.isneginf(means)):
        return None
    mass = np.cumsum(np.exp(means - means.max()))
    return int(np.flatnonzero(mass >= 0.95 * mass[-1])[0])


def _bootstrap(ratios, resamples, seed):
    """Returns the 2.5 % and 97.5 % quantiles of the median over texts drawn anew;
    a text goes with all of its predictions."""
    texts = len(ratios[0])
    if texts < 2 or resamples < 1:
        return None
    drawn = np.random.default_rng(seed).multinomial(texts, np.full(texts, 1 / texts), size=resamples)
    bands = []
    for ratio in ratios:
        seen = ~np.isnan(ratio)
        values, text = ratio[seen], np.nonzero(seen)[0]
        order = np.argsort(values)
        # a text that is drawn n times has each of its values n times
        ranks = np.cumsum(drawn[:, text[order]], axis=1, dtype=np.int32)
        ranks = ranks[ranks[:, -1] > 0] if len(values) else ranks[:0]
        medians = np.sort(values[order][np.argmax(2 * ranks >= ranks[:, -1:], axis=1)]) if len(ranks) else values[:0]
        bands.append((_quantile(medians, 0.025), _quantile(medians, 0.975)))
    lower, upper = np.array(bands).T
    return lower, upper


def _check(flow, layer, leaf, shares):
    """Raises UserError for what a flow does not have."""
    norms = one_of("leaf", leaf, flow.carry[checked_layer(layer, len(flow.carry))])
    if any(not 0 < share < 1 for share in shares):
        raise UserError(f"quantiles and horizons must be shares between 0 and 1, got {', '.join(map(str, shares))}")
    lag = np.arange(norms.shape[1])[:, None] - np.arange(norms.shape[2])[None, :]
    measured = np.concatenate([flow.output.ravel(), norms[:, lag <= flow.max_lag].ravel()])
    if np.any(np.isnan(measured) | np.isposinf(measured)):
        raise UserError(
            "a lag profile needs gradients that are numbers, got NaN or infinite ones (has the model diverged?)"
        )
