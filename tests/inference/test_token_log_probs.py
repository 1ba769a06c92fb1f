"""Log-probabilities token by token, in the order of the text however it was cut, and their sums over lines."""

import math

import numpy as np
import pytest

from lm_jax.inference import likelihood, line_sums, token_log_probs
from tests.inference.toys import small_rnn, stepped_log_probs, table_model


EOL = 0
V = 7
# The weights are normal numbers: from step to step the recurrence magnifies the rounding of float32.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def scored():
    """A model, its params, and a text of 150 tokens whose last line does not end; empty lines are among them."""
    tokens = np.random.default_rng(3).integers(0, V, 150).astype(np.int32)
    tokens[40:43], tokens[-1] = EOL, 5
    return *small_rnn(V), tokens


def by_hand(model, params, parts):
    """Step by step over each part, every one started anew from the end-of-line token."""
    return np.concatenate([stepped_log_probs(model, params, np.append([EOL], part)) for part in parts])


@pytest.mark.parametrize("streams", [1, 2, 7, 149, 150, 1000])
def test_the_order_is_that_of_the_text(scored, streams):
    model, params, tokens = scored
    result = token_log_probs(model, params, tokens, EOL, eval_streams=streams)
    assert result.shape == (150,)
    expected = by_hand(model, params, np.array_split(tokens, min(streams, 150)))
    np.testing.assert_allclose(result, expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("streams", [1, 2, 8, 32, 1000])
def test_sentences_are_scored_alone_and_stay_in_order(scored, streams):
    model, params, tokens = scored
    lines = np.split(tokens, np.flatnonzero(tokens == EOL) + 1)
    result = token_log_probs(model, params, tokens, EOL, eval_streams=streams, mode="sentence")
    np.testing.assert_allclose(result, by_hand(model, params, lines), rtol=TOLERANCE, atol=TOLERANCE)


def test_context_matters_here(scored):
    """Otherwise the tests above could not tell streams, sentences and orders apart."""
    model, params, tokens = scored
    whole = token_log_probs(model, params, tokens, EOL, eval_streams=1)
    alone = token_log_probs(model, params, tokens, EOL, eval_streams=1, mode="sentence")
    cut = token_log_probs(model, params, tokens, EOL, eval_streams=7)
    assert min(np.abs(whole - other).max() for other in (alone, cut)) > 0.1
    assert np.abs(whole - np.sort(whole)).max() > 0.1


@pytest.mark.parametrize("mode", ["stream", "sentence"])
def test_the_likelihood_is_their_sum(scored, mode):
    model, params, tokens = scored
    log_probs = token_log_probs(model, params, tokens, EOL, eval_streams=4, mode=mode)
    result = likelihood(model, params, tokens, EOL, eval_streams=4, mode=mode)
    assert result.log_prob == math.fsum(log_probs) and result.tokens == 150


@pytest.mark.parametrize("length", [1, 2, 127, 128, 129, 257])
def test_any_length(length):
    """A model of known probabilities: from token t to token t + 1 three quarters, to the others a twelfth each."""
    logits = np.where(np.arange(4) == (np.arange(4)[:, None] + 1) % 4, math.log(9), 0)
    model, params = table_model(logits)
    tokens = np.where(np.arange(length) % 5 == 4, 1, np.arange(1, length + 1) % 4).astype(np.int32)
    previous = np.append([0], tokens[:-1])
    expected = np.where(tokens == (previous + 1) % 4, math.log(9 / 12), math.log(1 / 12))
    result = token_log_probs(model, params, tokens, EOL, eval_streams=1)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "sums", "lengths"),
    [
        ([3, 0, 0, 4, 5, 0], [3, 4, 8 + 16 + 32], [2, 1, 3]),
        ([3, 0, 0, 4, 5], [3, 4, 8 + 16], [2, 1, 2]),  # the last line does not end
        ([0, 0], [1, 2], [1, 1]),
        ([0], [1], [1]),
        ([6], [1], [1]),
        ([6, 6, 6], [7], [3]),
    ],
)
def test_sums_over_lines(tokens, sums, lengths):
    """Values 1, 2, 4, 8, ...: a sum tells what is in it."""
    values = (2.0 ** np.arange(len(tokens))).astype(np.float32)
    got, counts = line_sums(values, np.array(tokens, np.int32), EOL)
    np.testing.assert_array_equal(got, sums)
    np.testing.assert_array_equal(counts, lengths)
    assert got.dtype == np.float64


def test_sums_over_lines_are_float64():
    """In float32 the thousand ones after 2^24 would be lost."""
    values = np.append([2.0**24], np.ones(1000)).astype(np.float32)
    sums, _ = line_sums(values, np.full(1001, 3), EOL)
    assert sums.tolist() == [2**24 + 1000]
