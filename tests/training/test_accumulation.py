"""Accumulation: the streams of a batch in parts, one after the other, and the gradient of all."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax.cells import lstm, rnn, stacked
from lm_jax.data import Batches
from lm_jax.models import recurrent_lm
from lm_jax.training import build_train_steps, create_state, cross_entropy, text_source
from lm_jax.training.gradient import build_gradient
from lm_jax.training.losses import Chunk, regularised_cross_entropy, scheduled_sampling


EOL, V, T, B = 0, 7, 6, 8
MODEL = recurrent_lm(V, stacked([lstm(3, 4), rnn(4, 5)]))
SMALL = recurrent_lm(V, rnn(3, 4))
LENGTHS = {"whole": [T] * B, "ragged": [6, 6, 5, 1, 0, 0, 3, 6], "empty": [0] * B}


def normal(tree, seed):
    generator = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape)), tree)


def a_case(model, lengths="whole", reset=False):
    """Parameters and a carry of float64, and a chunk whose rows have these lengths."""
    inputs, targets = np.random.default_rng(0).integers(0, V, (2, T, B)).astype(np.int32)
    mask = np.arange(T)[:, None] < np.array(LENGTHS[lengths])
    params = normal(jax.eval_shape(model.init, jax.random.key(0)), 1)
    carry = normal(jax.eval_shape(lambda: model.initial_carry(params, (B,))), 2)
    return params, carry, Chunk(inputs, targets, mask, inputs == EOL if reset else None)


def assert_equal(one, other):
    """In float64 a sum in another order differs by some 1e-15: a float32 slip on the way would be seen."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12), one, other)
    jax.tree.map(lambda a, b: a.dtype == b.dtype or pytest.fail(f"{a.dtype} is not {b.dtype}"), one, other)


@functools.cache
def gradient(loss_of, model, parts):
    return jax.jit(build_gradient(loss_of(model), parts))


FOUR = pytest.param(4, marks=pytest.mark.slow)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("parts", [2, FOUR])
@pytest.mark.parametrize("reset", [False, True], ids=["stream", "sentence"])
def test_gradient_carry_and_tally_are_those_of_the_whole(parts, reset, lengths, x64):
    """Also where a part has fewer tokens than another, or none."""
    params, carry, chunk = a_case(MODEL, lengths, reset)
    whole, in_parts = (gradient(cross_entropy, MODEL, n)(params, carry, chunk, jax.random.key(0)) for n in (1, parts))
    assert_equal(in_parts, whole)
    assert int(whole[2].tokens) == chunk.mask.sum()
    assert all(np.abs(leaf).max() > 1e-4 for leaf in jax.tree.leaves(whole[0])) or lengths == "empty"


@pytest.mark.parametrize("reset", [False, True], ids=["stream", "sentence"])
def test_one_part_is_the_plain_gradient(reset, x64):
    params, carry, chunk = a_case(MODEL, "ragged", reset)
    result = gradient(cross_entropy, MODEL, 1)(params, carry, chunk, jax.random.key(0))
    differentiate = jax.jit(jax.value_and_grad(cross_entropy(MODEL), has_aux=True))
    (_, (new_carry, tally)), grads = differentiate(params, carry, chunk, jax.random.key(0))
    assert_equal(result, (grads, new_carry, tally))


@pytest.mark.parametrize("reset", [False, True], ids=["stream", "sentence"])
@pytest.mark.parametrize("rows", ["whole", "ragged"])
@pytest.mark.parametrize("parts", [4, pytest.param(2, marks=pytest.mark.slow)])
def test_penalties_accumulate_too(parts, rows, reset, x64):
    params, carry, chunk = a_case(SMALL, rows, reset)
    loss_fn = regularised_cross_entropy(SMALL, 2.0, 1.0)
    whole, in_parts = (jax.jit(build_gradient(loss_fn, n))(params, carry, chunk, jax.random.key(0)) for n in (1, parts))
    assert_equal(in_parts, whole)


LOSSES = {
    "dropout": lambda model: cross_entropy(model),
    "scheduled sampling": lambda model: scheduled_sampling(cross_entropy(model), model, 0.5),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_parts_draw_masks_of_their_own(loss, x64):
    """The same rows in each part: the gradient is the mean of two that differ."""
    model = recurrent_lm(V, rnn(3, 4), dropout_rate=0.5)
    params, carry, chunk = a_case(model)
    half = jax.tree.map(lambda leaf: leaf[:, :4], chunk)
    doubled = jax.tree.map(lambda leaf: np.concatenate([leaf, leaf], axis=1), half)
    carry = carry[:4]
    both = jnp.concatenate([carry, carry])
    key = jax.random.key(3)
    grads, carries, tally = jax.jit(build_gradient(loss(model), 2))(params, both, doubled, key)
    assert np.abs(carries[:4] - carries[4:]).max() > 0.01
    single = jax.jit(build_gradient(loss(model)))
    one, other = (single(params, carry, half, k) for k in jax.random.split(key, 2))
    assert_equal(grads, jax.tree.map(lambda a, b: (a + b) / 2, one[0], other[0]))
    assert_equal(carries, jnp.concatenate([one[1], other[1]]))
    assert float(tally.nll) == pytest.approx(float(one[2].nll + other[2].nll), rel=1e-12)


@pytest.mark.parametrize("mode", ["stream", "sentence"])
@pytest.mark.parametrize("parts", [2, FOUR])
def test_training_in_parts(mode, parts):
    """Over more than an epoch, whose last chunk is ragged, in float32."""
    tokens = np.random.default_rng(0).integers(0, V, 405).astype(np.int32)
    source = text_source(Batches(tokens, EOL, 8, 5, mode), SMALL)
    adam = optax.chain(optax.clip_by_global_norm(0.1), optax.adam(1e-2))

    def trained(accumulate):
        train_steps = build_train_steps(cross_entropy(SMALL), source, adam, clip=0.1, accumulate=accumulate)
        state = create_state(SMALL.init, source, adam, 0)
        for epoch, count in enumerate((source.steps_per_epoch, 3)):
            state = train_steps(state, jax.tree.map(jnp.asarray, source.epoch(epoch)), count)
        return state

    one, other = trained(1), trained(parts)
    assert int(one.totals.tokens) == int(other.totals.tokens) > 405
    # Adam divides by the root of what may be rounding alone, so a few steps of 1e-2 are compared to 1e-4.
    for name in ("params", "carry", "totals"):
        pair = getattr(one, name), getattr(other, name)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *pair)
