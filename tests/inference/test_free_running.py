"""The free-running loss: against a slow loop, and models whose exposure bias is known."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.inference import Sampler, free_running_loss
from tests.inference.toys import from_step, small_rnn, spelling_model, table_model


EOL = 0
V = 7
GREEDY = Sampler(greedy=True)
KEY = jax.random.key(0)
LINES = [np.append(np.random.default_rng(n).integers(1, V, n), EOL) for n in (5, 1, 9, 3)]
PREFIX = [2, 1, 0, 3]


@pytest.fixture(scope="module")
def model_and_params():
    """A recurrent model of 7 types."""
    return small_rnn(V)


def log_softmax(logits):
    """In float64."""
    logits = np.asarray(logits, np.float64)
    return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())


def by_hand(model, params, line, prefix, mode, choose):
    """log P of the true tokens, one by one, when each token after the prefix is `choose(position, logits)`."""
    carry, token, log_probs = model.initial_carry(params, ()), EOL, []
    for position, true in enumerate(line):
        if mode == "sentence" and token == EOL:
            carry = model.initial_carry(params, ())
        carry, logits = model.step(params, carry, jnp.asarray(token))
        log_probs.append(log_softmax(logits)[true])
        token = true if position < prefix else choose(position, logits)
    return np.asarray(log_probs)


@pytest.mark.parametrize("mode", ["stream", "sentence"])
@pytest.mark.parametrize("sampler", [GREEDY, Sampler()], ids=["greedy", "sampled"])
def test_equals_a_loop_over_single_steps(model_and_params, mode, sampler):
    model, params = model_and_params
    result = free_running_loss(model, params, LINES, PREFIX, KEY, eol_id=EOL, num_samples=3, sampler=sampler, mode=mode)
    given_true, given_own = [], []
    for b, (line, prefix) in enumerate(zip(LINES, PREFIX, strict=True)):
        second = slice(prefix, len(line))
        expected = by_hand(model, params, line, prefix, mode, lambda position, _, line=line: line[position])
        np.testing.assert_allclose(result.given_true[second, b], expected[second], atol=1e-5)
        given_true += expected[second].tolist()
        for k in range(3):
            own = result.choices[:, k, b]
            expected = by_hand(model, params, line, prefix, mode, lambda position, _, own=own: own[position])
            np.testing.assert_allclose(result.given_own[second, k, b], expected[second], atol=1e-5)
            given_own += expected[second].tolist()
            assert result.distance[second, b].tolist() == list(range(len(line) - prefix))
            assert result.mask[:, b].tolist() == [prefix <= t < len(line) for t in range(10)]
    assert result.tokens == len(given_true) == sum(map(len, LINES)) - sum(PREFIX)
    assert result.teacher_forced == pytest.approx(-np.mean(given_true), abs=1e-5)
    assert result.free_running == pytest.approx(-np.mean(given_own), abs=1e-5)
    assert result.exposure_bias == result.free_running - result.teacher_forced
    assert abs(result.exposure_bias) > 0.01  # otherwise the two pasts could not be told apart


@pytest.mark.parametrize("mode", ["stream", "sentence"])
def test_greedy_choices_are_the_most_likely_tokens(model_and_params, mode):
    model, params = model_and_params
    result = free_running_loss(model, params, LINES, PREFIX, KEY, eol_id=EOL, sampler=GREEDY, mode=mode)
    for b, (line, prefix) in enumerate(zip(LINES, PREFIX, strict=True)):
        chosen = []

        def choose(position, logits, chosen=chosen):
            chosen.append(int(np.argmax(logits)))
            return chosen[-1]

        by_hand(model, params, line, prefix, mode, choose)
        assert result.choices[prefix : len(line), 0, b].tolist() == chosen


def test_a_line_that_ends_early_goes_on_as_the_mode_says():
    """The model counts what it read and ends every line after 2 tokens: with a reset it counts from 0 again."""

    def step(params, carry, token):
        wanted = jnp.where(carry % 3 == 2, EOL, jnp.minimum(carry, 5) + 1)
        return carry + 1, jnp.where(jnp.arange(V) == wanted[..., None], 0.0, -1e9)

    model = from_step(lambda params, shape: jnp.zeros(shape, jnp.int32), step, V)
    line = [np.array([1, 2, 3, 3, 3, EOL])]
    choices = {
        mode: free_running_loss(model, None, line, 1, KEY, eol_id=EOL, mode=mode).choices[1:, 0, 0].tolist()
        for mode in ("stream", "sentence")
    }
    assert choices == {"stream": [2, EOL, 4, 5, EOL], "sentence": [2, EOL, 1, 2, EOL]}


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize("sampler", [GREEDY, Sampler()], ids=["greedy", "sampled"])
def test_a_one_hot_model_is_not_exposed(prefix, sampler):
    """It finishes the line as it is, so both losses are 0."""
    line = np.array([3, 1, 4, 1, 5, 2, 6, EOL])
    model = spelling_model(line.tolist(), V)
    result = free_running_loss(model, None, [line], prefix, KEY, eol_id=EOL, num_samples=2, sampler=sampler)
    np.testing.assert_array_equal(result.choices[prefix:, :, 0], np.stack([line[prefix:]] * 2, axis=1))
    assert result.teacher_forced == result.free_running == 0.0
    assert result.tokens == len(line) - prefix


@pytest.mark.parametrize("sampler", [GREEDY, Sampler()], ids=["greedy", "sampled"])
def test_without_memory_the_bias_is_exactly_zero(sampler):
    logits = np.random.default_rng(0).normal(size=V)
    model, params = table_model(np.tile(logits, (V, 1)))
    result = free_running_loss(model, params, LINES, PREFIX, KEY, eol_id=EOL, num_samples=4, sampler=sampler)
    np.testing.assert_array_equal(result.given_own, np.repeat(result.given_true[:, None], 4, axis=1))
    assert result.exposure_bias == 0.0
    true, own, _ = result.by_distance()
    np.testing.assert_array_equal(true, own)
    expected = -np.mean([log_softmax(logits)[t] for line, p in zip(LINES, PREFIX, strict=True) for t in line[p:]])
    assert result.teacher_forced == pytest.approx(expected, rel=1e-6)


def test_the_mean_over_continuations_is_the_expectation():
    """A bigram model let loose after one token: E log P(x_3 | y) over y ~ P(. | x_1), known in closed form."""
    logits = 2 * np.random.default_rng(1).normal(size=(V, V))
    model, params = table_model(logits)
    line, samples = np.array([3, 1, 4]), 20_000
    result = free_running_loss(model, params, [line], 1, KEY, eol_id=EOL, num_samples=samples)
    after = np.stack([log_softmax(row) for row in logits])
    values, weights = after[:, 4], np.exp(after[3])
    mean = weights @ values
    error = math.sqrt(weights @ (values - mean) ** 2 / samples)
    true, own, lines = result.by_distance()
    np.testing.assert_allclose(true, [-after[3, 1], -after[1, 4]], rtol=1e-5)
    assert own[0] == pytest.approx(true[0], rel=1e-6)
    assert abs(own[1] + mean) < 4 * error
    assert lines.tolist() == [1, 1]


def test_by_distance_counts_from_where_the_model_is_let_loose(model_and_params):
    model, params = model_and_params
    result = free_running_loss(model, params, LINES, PREFIX, KEY, eol_id=EOL, num_samples=2)
    true, own, lines = result.by_distance()
    seconds = [len(line) - prefix for line, prefix in zip(LINES, PREFIX, strict=True)]
    assert lines.tolist() == [sum(length > d for length in seconds) for d in range(10)]
    assert own[0] == pytest.approx(true[0], rel=1e-6)  # nothing of its own read yet
    assert true @ lines / lines.sum() == pytest.approx(result.teacher_forced)
    assert own @ lines / lines.sum() == pytest.approx(result.free_running)


def test_ragged_lines_equal_the_lines_alone(model_and_params):
    model, params = model_and_params
    together = free_running_loss(model, params, LINES, PREFIX, KEY, eol_id=EOL, sampler=GREEDY, mode="sentence")
    for b, (line, prefix) in enumerate(zip(LINES, PREFIX, strict=True)):
        alone = free_running_loss(model, params, [line], prefix, KEY, eol_id=EOL, sampler=GREEDY, mode="sentence")
        for field in ("given_true", "given_own", "choices"):
            padded = getattr(together, field)[: len(line), ..., b]
            np.testing.assert_allclose(padded, getattr(alone, field)[..., 0], atol=1e-5)
        np.testing.assert_array_equal(together.mask[: len(line), b], alone.mask[:, 0])
        assert not together.mask[len(line) :, b].any()


def test_keys_matter_and_repeat(model_and_params):
    model, params = model_and_params
    one, again, other = (
        free_running_loss(model, params, LINES, 0, jax.random.key(s), eol_id=EOL, num_samples=2) for s in (5, 5, 6)
    )
    np.testing.assert_array_equal(one.choices, again.choices)
    assert (one.choices != other.choices).any()
    assert (one.choices[:, 0] != one.choices[:, 1]).any()


def test_batches_of_one_shape_trace_once():
    traces = []

    def step(params, carry, token):
        traces.append(1)
        return carry + 1, jnp.zeros((*token.shape, V))

    model = from_step(lambda params, shape: jnp.zeros(shape, jnp.int32), step, V)
    for prefix in (0, 1):
        free_running_loss(model, None, LINES, prefix, jax.random.key(prefix), eol_id=EOL)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (LINES, {"prefix": [2, 2, 0, 3]}, "got 2 of 2 in line 2"),
        (LINES, {"prefix": -1}, "got -1 of 6 in line 1"),
        ([], {}, "at least one line, got none"),
        (LINES, {"mode": "lines"}, "mode must be one of stream, sentence, got 'lines'"),
        (LINES, {"num_samples": 0}, "num_samples must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_input_is_refused(model_and_params, lines, options, message):
    with pytest.raises(UserError, match=message):
        free_running_loss(*model_and_params, lines, **{"prefix": 0, "key": KEY, "eol_id": EOL, **options})
