"""Intervals and tests of perplexities: against enumeration and closed forms, and on simulated text of known mean."""

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest

from lm_jax.inference import significance
from lm_jax.inference.significance import (
    Blocks,
    bootstrap_difference,
    bootstrap_ratio,
    cut_blocks,
    lines_per_block,
    paired_test,
    tail_level,
)


def brute_force_size(lines):
    """The least r with r^3 >= lines, or as many as leave 50 blocks."""
    root = next(r for r in itertools.count(1) if r**3 >= lines)
    return max(1, min(root, lines // 50))


@pytest.mark.parametrize("lines", [1, 49, 50, 99, 100, 343, 344, 999, 1000, 1001, 4358, 125_000, 125_001, 10**6])
def test_the_number_of_lines_in_a_block(lines):
    assert lines_per_block(lines) == brute_force_size(lines)


@pytest.mark.parametrize(
    ("lines", "tokens_per_line", "blocks", "size", "unit"),
    [
        (1000, 7, 100, 10, "line"),
        (1005, 7, 92, 11, "line"),  # the last one holds 4 lines
        (50, 2, 50, 1, "line"),
        (49, 1000, 50, 980, "token"),
        (49, 3, 49, 1, "line"),  # 7 pieces of 20 tokens would be fewer
        (3, 100, 15, 20, "token"),
        (1, 19, 1, 1, "line"),
    ],
)
def test_how_a_text_is_cut(lines, tokens_per_line, blocks, size, unit):
    cut = cut_blocks(np.full(lines, tokens_per_line))
    assert (len(cut.starts), cut.size, cut.unit) == (blocks, size, unit)
    assert cut.starts[0] == 0 and (np.diff(cut.starts) > 0).all() and cut.starts[-1] < lines * tokens_per_line
    if unit == "line":
        assert set(np.diff(cut.starts)) <= {size * tokens_per_line}
    else:
        assert set(np.diff(cut.starts)) <= {math.floor(size), math.ceil(size)}


def test_blocks_begin_with_lines_and_sum_up_everything_once():
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 30, 700)
    values = generator.normal(size=lengths.sum()).astype(np.float32)
    cut = cut_blocks(lengths)
    lines = np.split(values.astype(np.float64), np.cumsum(lengths)[:-1])
    expected = [math.fsum(np.concatenate(lines[i : i + 9])) for i in range(0, 700, 9)]
    assert cut.size == 9 and cut.sums(values).dtype == np.float64
    np.testing.assert_allclose(cut.sums(values), expected, rtol=1e-12)


@pytest.mark.parametrize(("blocks", "t"), [(5, 2.776445), (10, 2.262157), (50, 2.009575), (1001, 1.962339)])
def test_few_blocks_widen_the_interval(blocks, t):
    """The 97.5 % quantiles of Student's t are of a table."""
    expected = NormalDist().cdf(-t * math.sqrt(blocks / (blocks - 1)))
    assert tail_level(blocks) == pytest.approx(expected, rel=0.03)


def test_the_interval_is_that_of_all_resamples():
    """Of five blocks all 5^5 resamples can be listed."""
    sums, units = np.array([3.0, 1.0, 8.0, 2.5, 5.0]), np.array([2.0, 1.0, 3.0, 2.0, 5.0])
    ratios = [sums[list(drawn)].sum() / units[list(drawn)].sum() for drawn in itertools.product(range(5), repeat=5)]
    result = bootstrap_ratio(sums, units, samples=100_000)
    tail = NormalDist().cdf(-2.776445 * math.sqrt(5 / 4))
    assert result.estimate == pytest.approx(19.5 / 13)
    for end, share in ((result.low, tail), (result.high, 1 - tail)):  # an end is one of the ratios, with some weight
        assert np.mean(np.less(ratios, end - 1e-9)) - 0.0003 < share < np.mean(np.less(ratios, end + 1e-9)) + 0.0003


def test_the_interval_of_many_equal_blocks_is_that_of_a_mean():
    sums = np.random.default_rng(1).normal(10, 2, 400)
    result = bootstrap_ratio(sums, np.full(400, 5.0), samples=20_000)
    error = 1.96 * sums.std() / math.sqrt(400) / 5
    assert result.estimate == pytest.approx(sums.mean() / 5)
    assert result.low == pytest.approx(result.estimate - error, abs=0.04 * error)
    assert result.high == pytest.approx(result.estimate + error, abs=0.04 * error)


def test_resamples_do_not_depend_on_how_many_are_held_at_once(monkeypatch):
    generator = np.random.default_rng(2)
    sums, others, units = generator.normal(size=(2, 60)), generator.normal(size=60), generator.uniform(1, 2, 60)
    expected = bootstrap_ratio(sums[0], units, 500), paired_test(sums[0], others, units, 500)
    monkeypatch.setattr(significance, "DRAWN_AT_ONCE", 700)
    result = bootstrap_ratio(sums[0], units, 500), paired_test(sums[0], others, units, 500)
    np.testing.assert_allclose(np.concatenate(result), np.concatenate(expected), rtol=1e-9)


def test_a_seed_decides_the_resamples():
    sums, units = np.random.default_rng(3).normal(size=(2, 50)) ** 2
    first, second, other = (bootstrap_ratio(sums, units, 300, seed) for seed in (0, 0, 1))
    assert first == second and first.estimate == other.estimate and first.low != other.low


def test_an_impossible_token_makes_everything_infinite():
    sums = np.array([1.0, np.inf, 2.0])
    assert bootstrap_ratio(sums, np.ones(3)) == (np.inf, np.inf, np.inf)


def test_one_block_tells_nothing_of_others():
    assert bootstrap_ratio(np.array([6.0]), np.array([3.0])) == (2.0, -np.inf, np.inf)
    assert paired_test(np.array([6.0]), np.array([3.0]), np.array([3.0])) == (1.0, -np.inf, np.inf, 1.0)


def test_a_model_does_not_differ_from_itself():
    sums = np.random.default_rng(4).gamma(3, size=80)
    assert paired_test(sums, sums.copy(), np.ones(80)) == (0.0, 0.0, 0.0, 1.0)


def test_a_model_that_is_better_in_every_block_is_better():
    others = np.random.default_rng(5).gamma(3, size=80)
    result = paired_test(others - 0.2, others, np.full(80, 2.0), samples=999)
    assert result.difference == pytest.approx(-0.1) and result.p_value == 1 / 1000
    assert result.low == pytest.approx(-0.1) and result.high == pytest.approx(-0.1)


def test_the_test_has_no_direction():
    sums, others = np.random.default_rng(6).gamma(3, size=(2, 80))
    units = np.full(80, 3.0)
    one, two = paired_test(sums, others, units), paired_test(others, sums, units)
    assert (one.difference, one.low, one.high, one.p_value) == pytest.approx(
        (-two.difference, -two.high, -two.low, two.p_value), rel=1e-12
    )


def test_the_p_value_is_the_share_of_all_flips():
    """Of eight blocks all 2^8 flips can be listed; two differences are equal, so that sums tie."""
    differences = np.array([0.5, -0.2, 0.9, 0.3, 0.3, -0.4, 0.6, 0.1])
    flips = np.array(list(itertools.product([-1, 1], repeat=8))) @ differences
    exact = np.mean(np.abs(flips) >= abs(differences.sum()) - 1e-9)
    result = paired_test(differences, np.zeros(8), np.ones(8), samples=20_000)
    assert 0.05 < exact < 0.5
    assert result.p_value == pytest.approx(exact, abs=4 * math.sqrt(exact / 20_000))


# Simulated text: nats per token follow an autoregression along the text, x_t = 0.5 x_{t-1} + e_t with skewed e_t, plus
# a constant for each line. The mean is 3.
TEXTS, LINES = 300, 200


@pytest.fixture(scope="module")
def simulated():
    """Lengths of lines [LINES] and the nats of two models on TEXTS texts, float64 [2, TEXTS, N]."""
    generator = np.random.default_rng(0)
    lengths = generator.geometric(1 / 8, LINES)
    noise = generator.exponential(size=(lengths.sum(), 2, TEXTS)) - 1
    nats, state = np.empty_like(noise), np.zeros((2, TEXTS))
    for t, e in enumerate(noise):
        state = 0.5 * state + e
        nats[t] = state
    nats += 3 + np.repeat(generator.normal(0, 0.5, (LINES, 2, TEXTS)), lengths, axis=0)
    return lengths, np.moveaxis(nats, 0, -1)


def covered(blocks, texts, samples):
    """The share of texts whose interval holds the mean."""
    units = blocks.sums(np.ones(texts.shape[-1]))
    intervals = [bootstrap_ratio(blocks.sums(nats), units, samples) for nats in texts]
    return np.mean([interval.low <= 3 <= interval.high for interval in intervals])


def test_intervals_of_line_blocks_cover_and_those_of_tokens_do_not(simulated):
    """95 % of 300 is 285, with a standard deviation of 3.8."""
    lengths, nats = simulated
    assert 0.91 <= covered(cut_blocks(lengths), nats[0], 500) <= 0.98
    tokens = Blocks(np.arange(lengths.sum()), 1, "token")
    assert covered(tokens, nats[0, :100], 200) < 0.8


def p_values(blocks, texts, samples):
    """Of pairs of equally good models."""
    units = blocks.sums(np.ones(texts.shape[-1]))
    sums = [[blocks.sums(nats) for nats in model] for model in texts]
    return np.array([paired_test(a, b, units, samples).p_value for a, b in zip(*sums, strict=True)])


def test_p_values_are_uniform_where_models_are_equally_good(simulated):
    lengths, nats = simulated
    found = p_values(cut_blocks(lengths), nats, 400)
    # the largest distance from the uniform distribution function: of 300 draws it passes 0.094 in 1 % (Kolmogorov)
    assert np.max(np.abs(np.sort(found) - (np.arange(TEXTS) + 0.5) / TEXTS)) < 0.094
    assert 0.02 <= np.mean(found <= 0.05) <= 0.09
    tokens = Blocks(np.arange(lengths.sum()), 1, "token")
    assert np.mean(p_values(tokens, nats[:, :100], 200) <= 0.05) > 0.2


def test_a_difference_that_is_small_beside_the_intervals_is_found(simulated):
    """Of 0.02 nats a token: the two models find the same lines hard."""
    lengths, nats = simulated
    blocks = cut_blocks(lengths)
    units = blocks.sums(np.ones(lengths.sum()))
    sums, others = (blocks.sums(x) for x in (nats[0, 0] + 0.02 + 0.01 * (nats[1, 0] - 3), nats[0, 0]))
    alone = [bootstrap_ratio(x, units) for x in (sums, others)]
    assert alone[0].low < alone[1].estimate and alone[1].high > alone[0].estimate
    paired = paired_test(sums, others, units)
    assert paired.p_value < 0.01 and 0 < paired.low < paired.difference < paired.high < 0.04


def test_the_interval_of_a_difference_of_corpora_is_that_of_all_resamples():
    """Of four sentences all 4^4 resamples can be listed; the measure is no sum."""
    ours = np.array([[3.0, 4.0], [1.0, 5.0], [2.0, 2.0], [0.0, 3.0]])
    others = np.array([[2.0, 4.0], [1.0, 4.0], [0.0, 2.0], [1.0, 3.0]])

    def measure(sums):
        return float(np.sqrt(sums[0] / sums[1]))

    rows = [list(drawn) for drawn in itertools.product(range(4), repeat=4)]
    differences = [measure(ours[drawn].sum(0)) - measure(others[drawn].sum(0)) for drawn in rows]
    result = bootstrap_difference(ours, others, measure, samples=40_000)
    assert result.estimate == pytest.approx(math.sqrt(6 / 14) - math.sqrt(4 / 13))
    tail = tail_level(4)
    for end, share in ((result.low, tail), (result.high, 1 - tail)):  # an end is one of them, with some weight
        below, up_to = (np.mean(np.less(differences, end + margin)) for margin in (-1e-9, 1e-9))
        assert below - 0.001 < share < up_to + 0.001


def test_the_difference_of_a_system_to_itself_is_nothing():
    same = np.random.default_rng(0).random((30, 2))
    result = bootstrap_difference(same, same, lambda sums: float(sums[0] / sums[1]), samples=50)
    assert result == (0.0, 0.0, 0.0)
