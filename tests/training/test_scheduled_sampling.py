"""Scheduled sampling: which inputs are replaced, by what, and that no gradient flows through the choice."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.training import cross_entropy
from lm_jax.training.losses import Chunk, scheduled_sampling
from tests.inference.toys import small_rnn, spelling_model, table_model


EOL, V, T, B = 0, 7, 9, 4
INPUTS, TARGETS = np.random.default_rng(0).integers(0, V, (2, T, B)).astype(np.int32)
MASK = np.arange(T)[:, None] < np.array([T, T, 6, 0])
STREAM = Chunk(INPUTS, TARGETS, MASK, None)
SENTENCE = STREAM._replace(reset=INPUTS == EOL)
KEY = jax.random.key(1)
COUNTING = table_model(np.where(np.roll(np.eye(V), 1, axis=1) > 0, 0.0, -1e9))  # after t comes t + 1, for certain


def mixed(model, params, rate, chunk, key=KEY, carry=None):
    """The chunk, the carry and the key that the loss underneath is given."""

    def loss_fn(params, carry, chunk, key, whole=None):
        return chunk, carry, key

    carry = model.initial_carry(params, (chunk.inputs.shape[1],)) if carry is None else carry
    return jax.jit(scheduled_sampling(loss_fn, model, rate))(params, carry, chunk, key)


@pytest.mark.parametrize("chunk", [STREAM, SENTENCE], ids=["stream", "sentence"])
def test_all_inputs_become_predictions(chunk):
    """But the first of the chunk and those where a line starts, which no prediction stands for."""
    result, _, _ = mixed(*COUNTING, 1.0, chunk)
    expected = np.concatenate([INPUTS[:1], (INPUTS[:-1] + 1) % V])
    if chunk.reset is not None:
        assert chunk.reset[1:].sum() > 3
        expected = np.where(chunk.reset & (np.arange(T)[:, None] > 0), INPUTS, expected)
    np.testing.assert_array_equal(result.inputs, expected)
    assert (expected != INPUTS).mean() > 0.4
    assert result.inputs.dtype == np.int32
    for name in ("targets", "mask", "reset"):
        np.testing.assert_array_equal(getattr(result, name), getattr(chunk, name))


def test_predictions_are_made_with_the_carry():
    """The model spells its carry, whatever it reads: here from the third letter on."""
    model = spelling_model([1, 2, 3, 4, 5, 6], V)
    result, carry, _ = mixed(model, None, 1.0, STREAM, carry=jnp.full((B,), 2))
    np.testing.assert_array_equal(result.inputs[1:], np.array([3, 4, 5, 6, 6, 6, 6, 6])[:, None] + np.zeros((8, B)))
    np.testing.assert_array_equal(carry, 2)  # and the second pass starts from where the first did


def test_a_line_is_predicted_from_its_own_start():
    """Where a line starts the model spells anew."""
    model = spelling_model([1, 2, 3, 4, 5, 6], V)
    inputs = np.array([EOL, 5, 5, EOL, 5, 5, 5], np.int32)[:, None]
    chunk = Chunk(inputs, inputs, np.ones((7, 1), bool), inputs == EOL)
    assert mixed(model, None, 1.0, chunk)[0].inputs[:, 0].tolist() == [EOL, 1, 2, EOL, 1, 2, 3]


def test_a_share_is_replaced():
    """Of 40,000 inputs 30 %, within five standard deviations; the others stay."""
    inputs = np.random.default_rng(0).integers(0, V, (401, 100)).astype(np.int32)
    chunk = Chunk(inputs, inputs, np.ones(inputs.shape, bool), None)
    result = np.asarray(mixed(*COUNTING, 0.3, chunk)[0].inputs)
    predicted = np.concatenate([inputs[:1], (inputs[:-1] + 1) % V])
    assert ((result == inputs) | (result == predicted)).all()
    other = predicted != inputs  # where the prediction is right, nobody can tell
    n = other.sum()
    assert abs((result == predicted)[other].mean() - 0.3) < 5 * math.sqrt(0.21 / n)


def test_predictions_are_drawn_from_the_models_distribution():
    """After any token: 0.5, 0.3, 0.15, 0.05. Of 20,000 draws each share is within five standard deviations."""
    probs = np.array([0.5, 0.3, 0.15, 0.05])
    model, params = table_model(np.tile(np.log(probs), (4, 1)))
    inputs = np.zeros((201, 100), np.int32)
    chunk = Chunk(inputs, inputs, np.ones(inputs.shape, bool), None)
    drawn = np.asarray(mixed(model, params, 1.0, chunk)[0].inputs)[1:]
    shares = np.bincount(drawn.ravel(), minlength=4) / drawn.size
    assert (np.abs(shares - probs) < 5 * np.sqrt(probs * (1 - probs) / drawn.size)).all()


def test_the_choice_follows_from_the_key():
    model, params = small_rnn(V)
    one, same, other = (mixed(model, params, 0.5, STREAM, key) for key in (KEY, jax.random.key(1), jax.random.key(2)))
    np.testing.assert_array_equal(one[0].inputs, same[0].inputs)
    assert (one[0].inputs != other[0].inputs).any()
    assert jax.random.key_data(one[2]).tolist() == jax.random.key_data(same[2]).tolist()
    assert jax.random.key_data(one[2]).tolist() != jax.random.key_data(KEY).tolist()  # what is drawn next is new


def differentiate(loss_fn, params, model, chunk):
    carry = model.initial_carry(params, (B,)) + 0.2
    return jax.jit(jax.value_and_grad(loss_fn, has_aux=True))(params, carry, chunk, KEY)


@pytest.mark.parametrize("chunk", [STREAM, SENTENCE], ids=["stream", "sentence"])
def test_a_rate_of_zero_changes_nothing(chunk):
    model, params = small_rnn(V)
    plain = cross_entropy(model)
    results = [differentiate(loss, params, model, chunk) for loss in (plain, scheduled_sampling(plain, model, 0.0))]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), *results)


@pytest.mark.parametrize("chunk", [STREAM, SENTENCE], ids=["stream", "sentence"])
@pytest.mark.parametrize("rate", [0.5, pytest.param(1.0, marks=pytest.mark.slow)])
def test_the_gradient_is_that_of_the_inputs_as_they_are(chunk, rate):
    """Of cross-entropy where the mixed inputs are given as data."""
    model, params = small_rnn(V)
    plain = cross_entropy(model)
    carry = model.initial_carry(params, (B,)) + 0.2
    inputs = np.asarray(mixed(model, params, rate, chunk, carry=carry)[0].inputs)
    assert (inputs != INPUTS).mean() > 0.2
    result = differentiate(scheduled_sampling(plain, model, rate), params, model, chunk)
    expected = differentiate(plain, params, model, chunk._replace(inputs=inputs))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), result, expected)
    (loss, (_, tally)), grads = result
    assert float(loss) == pytest.approx(float(tally.nll) / MASK.sum(), rel=1e-6)
    assert all(np.isfinite(leaf).all() and np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))
