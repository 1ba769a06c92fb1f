"""Minimal pairs: which sentence is more probable, and how sure an accuracy is."""

import math

import numpy as np
import pytest

from lm_jax.inference import judge_pairs
from lm_jax.inference.minimal_pairs import STREAMS, accuracy
from tests.inference.toys import small_rnn, stepped_log_probs, table_model


EOL = 0
V = 7


def sentences(count, seed):
    generator = np.random.default_rng(seed)
    drawn = [generator.integers(1, V, generator.integers(1, 9)) for _ in range(count)]
    return [np.append(sentence, EOL).astype(np.int32) for sentence in drawn]


@pytest.mark.parametrize("pairs", [1, 2, STREAMS, 2 * STREAMS + 3])
def test_every_sentence_is_scored_alone_with_its_end(pairs):
    model, params = small_rnn(V)
    good, bad = sentences(pairs, 1), sentences(pairs, 2)
    log_probs = [
        [math.fsum(stepped_log_probs(model, params, np.append([EOL], s))) for s in side] for side in (good, bad)
    ]
    differences = judge_pairs(model, params, good, bad, EOL)
    assert differences.shape == (pairs,) and differences.dtype == np.float64
    # sums of some ten float32 numbers, of size 20 to 30
    np.testing.assert_allclose(differences, np.subtract(*log_probs), atol=1e-4)


def test_a_sentence_against_itself_is_a_tie():
    """Exactly: wherever the two lie in the streams, the same numbers are added in the same order."""
    model, params = small_rnn(V)
    good = sentences(3 * STREAMS, 3)
    assert not judge_pairs(model, params, good, good, EOL).any()


def test_by_hand():
    """From token t, t + 1 has probability 9 / 15 and the six others 1 / 15 each, the end of the line among them."""
    model, params = table_model(np.where(np.roll(np.eye(V), 1, axis=1) > 0, math.log(9), 0))
    good, bad = [np.array([1, 2, 3, EOL])], [np.array([1, 3, EOL])]
    expected = 3 * math.log(9 / 15) + math.log(1 / 15) - (math.log(9 / 15) + 2 * math.log(1 / 15))
    np.testing.assert_allclose(judge_pairs(model, params, good, bad, EOL), [expected], rtol=1e-6)


@pytest.mark.parametrize(
    ("differences", "share"),
    [
        ([1.0, 2.0, -0.5, 3.0], 0.75),
        ([0.0], 0.5),
        ([0.0, 1.0], 0.75),
        ([0.0, -1.0], 0.25),
        ([-0.0, 0.0, 0.0], 0.5),
        ([1e-300, -1e-300], 0.5),
        ([1.0], 1.0),
        ([-1.0] * 9, 0.0),
    ],
)
def test_a_tie_counts_as_half(differences, share):
    result = accuracy(np.array(differences))
    assert result.accuracy == share and result.pairs == len(differences)
    assert 0 <= result.low <= share <= result.high <= 1 and result.low < result.high


@pytest.mark.parametrize(
    ("right", "pairs", "low", "high"),
    [
        # z = 1.96, z^2 = 3.8415. 8 of 10: centre (0.8 + 0.192073) / 1.384146 = 0.716740, half the width
        # 1.96 / 1.384146 sqrt(0.016 + 0.009604) = 0.226577
        (8, 10, 0.490162, 0.943318),
        # 0 of 10: from 0 to z^2 / (10 + z^2)
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        # 15 of 148: centre (0.101351 + 0.012978) / 1.025956 = 0.111437,
        # half the width 1.96 / 1.025956 sqrt(0.000615386 + 0.0000438449) = 0.049050
        (15, 148, 0.062387, 0.160487),
    ],
)
def test_the_interval_is_wilsons(right, pairs, low, high):
    result = accuracy(np.where(np.arange(pairs) < right, 1.0, -1.0))
    assert result.low == pytest.approx(low, abs=2e-6) and result.high == pytest.approx(high, abs=2e-6)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.83])
def test_the_ends_of_the_interval_are_where_the_share_is_barely_plausible(share):
    """The definition: |share - p| = z sqrt(p (1 - p) / n) at both ends p."""
    result = accuracy(np.where(np.arange(100) < 100 * share, 1.0, -1.0))
    for p in (result.low, result.high):
        assert abs(share - p) / math.sqrt(p * (1 - p) / 100) == pytest.approx(1.959964, rel=1e-9)
