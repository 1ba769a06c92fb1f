"""Cross-entropy of a text: every token once, in float64, whatever the chunks."""

import importlib
import math

import numpy as np
import pytest

from lm_jax.data.batching import cut_streams
from lm_jax.inference import Likelihood, likelihood, score_streams
from tests.inference.toys import small_rnn, stepped_log_probs, table_model


EOL = 0
V = 7
module = importlib.import_module("lm_jax.inference.likelihood")  # the package has a function of this name

# Log-probabilities are float32: each is off by some 1e-7 of its size, and a sum in float64 adds nothing to that.
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def rnn_model():
    """A model, its params and a text of 301 tokens in 40-odd lines; the last token ends a line."""
    tokens = np.random.default_rng(0).integers(0, V, 301).astype(np.int32)
    tokens[-1] = EOL
    return *small_rnn(V), tokens


def by_hand(model, params, streams):
    """The sum over streams, each started anew from the end-of-line token."""
    return sum(math.fsum(stepped_log_probs(model, params, np.append([EOL], stream))) for stream in streams)


@pytest.mark.parametrize("eval_streams", [1, 3, 10])
def test_equals_the_sum_over_single_steps(rnn_model, eval_streams):
    model, params, tokens = rnn_model
    result = likelihood(model, params, tokens, EOL, eval_streams=eval_streams)
    expected = by_hand(model, params, np.array_split(tokens, eval_streams))
    assert isinstance(result.log_prob, float) and result.tokens == 301
    assert result.log_prob == pytest.approx(expected, rel=TOLERANCE)
    assert result.cross_entropy == pytest.approx(-expected / 301, rel=TOLERANCE)


@pytest.mark.parametrize("mode", ["stream", "sentence"])
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_does_not_depend_on_the_size_of_chunks(rnn_model, mode, size, monkeypatch):
    model, params, tokens = rnn_model
    expected = likelihood(model, params, tokens, EOL, eval_streams=3, mode=mode)
    monkeypatch.setattr(module, "CHUNK", size)
    result = likelihood(model, params, tokens, EOL, eval_streams=3, mode=mode)
    assert result.log_prob == pytest.approx(expected.log_prob, rel=TOLERANCE)
    assert result.tokens == expected.tokens


@pytest.mark.parametrize("eval_streams", [1, 4, 1000])
def test_sentences_are_scored_alone(rnn_model, eval_streams):
    model, params, tokens = rnn_model
    lines = np.split(tokens, np.flatnonzero(tokens == EOL)[:-1] + 1)
    result = likelihood(model, params, tokens, EOL, eval_streams=eval_streams, mode="sentence")
    assert result.log_prob == pytest.approx(by_hand(model, params, lines), rel=TOLERANCE)
    assert result.tokens == 301


def test_streams_and_sentences_differ(rnn_model):
    """Otherwise the tests above could not tell them apart."""
    model, params, tokens = rnn_model
    results = [
        likelihood(model, params, tokens, EOL, eval_streams=n, mode=mode).log_prob
        for n, mode in ((1, "stream"), (10, "stream"), (1, "sentence"))
    ]
    assert min(abs(a - b) for a, b in zip(results, [*results[1:], results[0]], strict=True)) > 0.1


@pytest.mark.parametrize("length", [1, 2, 129, 1300])
@pytest.mark.parametrize("mode", ["stream", "sentence"])
def test_perplexity_of_the_uniform_model_is_the_size_of_the_vocabulary(length, mode):
    model, params = table_model(np.zeros((V, V)))
    tokens = np.arange(length) % V
    result = likelihood(model, params, tokens, EOL, mode=mode)
    assert result.tokens == length
    assert result.perplexity == pytest.approx(V, rel=TOLERANCE)


@pytest.mark.parametrize("length", [1, 9, 128, 129])
def test_the_tail_counts(length):
    """The last token of the text alone has probability e^-20, up to what the others take."""
    logits = np.zeros((V, V))
    logits[:, 3] = -20.0
    model, params = table_model(logits)
    tokens = np.append(np.zeros(length - 1, np.int32), 3)
    result = likelihood(model, params, tokens, EOL, eval_streams=1)
    assert result.log_prob == pytest.approx(-20 - length * math.log(V - 1), rel=TOLERANCE)


def test_the_sum_is_float64():
    """A float32 sum of ten million times log 3 would be off by thousands of times the tolerance."""
    model, params = table_model(np.zeros((3, 3)))
    streams = cut_streams(np.zeros(20_000, np.int32), 10, EOL)
    log_probs = score_streams(model, params, streams, EOL)
    assert log_probs.shape == (2000, 10) and log_probs.dtype == np.float32
    result = likelihood(model, params, np.zeros(20_000, np.int32), EOL)
    assert result.log_prob == float(np.sum(log_probs.astype(np.float64)))


def test_ended_streams_score_zero(rnn_model):
    model, params, tokens = rnn_model
    streams = cut_streams(tokens[:11], 4, EOL)  # of 3, 3, 3 and 2 tokens
    log_probs = score_streams(model, params, streams, EOL)
    assert log_probs.shape == (3, 4)
    np.testing.assert_array_equal(log_probs == 0, np.arange(3)[:, None] >= streams.lengths)


def test_progress_is_told(rnn_model, monkeypatch):
    model, params, tokens = rnn_model
    monkeypatch.setattr(module, "CHUNK", 64)
    told = []
    likelihood(model, params, tokens, EOL, eval_streams=1, progress=lambda done, total: told.append((done, total)))
    assert told == [(i, 5) for i in range(1, 5)]


def test_a_hopeless_model_has_infinite_perplexity():
    assert Likelihood(-1000.0, 1).perplexity == math.inf
    assert Likelihood(-700.0, 1).perplexity == math.exp(700)
