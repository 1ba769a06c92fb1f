"""Attention against the equations in float64, its masks, its axes, and golden numbers of torch."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.attention import (
    AdditiveParams,
    MultiplicativeParams,
    additive_attention,
    masked_softmax,
    multiplicative_attention,
)
from tests.oracles import attention as oracle


GOLDEN = Path(__file__).parent / "golden" / "torch_attention.npz"
S, B, E, H = 5, 4, 3, 6
LENGTHS = np.array([5, 1, 3, 0])
MASK = np.arange(S)[:, None] < LENGTHS
HOLES = np.array([[1, 1, 0, 1, 1], [0, 0, 1, 0, 0], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0]], bool).T
FORMS = {
    "additive": (additive_attention(H, E, 7), oracle.additive_score),
    "multiplicative": (multiplicative_attention(H, E), oracle.multiplicative_score),
}
GENERATOR = np.random.default_rng(0)
MEMORY = GENERATOR.normal(size=(S, B, E)).astype(np.float32)
QUERY = GENERATOR.normal(size=(B, H)).astype(np.float32)


@pytest.fixture(params=FORMS)
def form(request):
    """An attention, its parameters, and its score in float64."""
    attention, score = FORMS[request.param]
    return attention, attention.init(jax.random.key(1)), score


@functools.cache
def answer(attention):
    return jax.jit(
        lambda params, query, memory, mask: attention.attend(params, query, attention.read(params, memory, mask))
    )


@pytest.mark.parametrize("mask", [MASK, HOLES], ids=["ragged", "holes"])
def test_it_equals_the_equations(form, mask):
    attention, params, score = form
    context, weights = answer(attention)(params, QUERY, MEMORY, mask)
    for b in range(B):
        real = mask[:, b]
        expected = (np.zeros(S), np.zeros(E))
        if real.any():
            expected[0][real], expected[1][:] = oracle.attend(score, params, QUERY[b], MEMORY[real, b])
        np.testing.assert_allclose(weights[b], expected[0], rtol=0, atol=1e-6)
        np.testing.assert_allclose(context[b], expected[1], rtol=0, atol=1e-6)


def test_weights_sum_to_one_over_real_positions_only(form):
    attention, params, _ = form
    for mask in (MASK, HOLES):
        _, weights = answer(attention)(params, 30 * QUERY, MEMORY, mask)
        assert np.all(np.asarray(weights)[~mask.T] == 0.0)
        np.testing.assert_allclose(np.sum(weights, axis=-1), mask.any(axis=0), rtol=0, atol=1e-6)


def test_a_row_without_source_gives_zeros_and_finite_gradients(form):
    attention, params, _ = form
    nothing = np.zeros((S, B), bool)

    @jax.jit
    def gradient(*arguments):
        def total(params, query, memory):
            context, weights = attention.attend(params, query, attention.read(params, memory, nothing))
            return jnp.sum(context) + jnp.sum(weights**2)

        return jax.grad(total, (0, 1, 2))(*arguments)

    context, weights = answer(attention)(params, QUERY, MEMORY, nothing)
    assert not np.any(context) and not np.any(weights)
    for leaf in jax.tree.leaves(gradient(params, QUERY, MEMORY)):
        assert not np.any(leaf)
    assert answer(attention)(params, QUERY, MEMORY[:0], MASK[:0])[0].shape == (B, E)


@pytest.mark.parametrize("spoil", [np.nan, np.inf, 1e30])
def test_no_gradient_comes_from_a_masked_source_whatever_stands_there(form, spoil):
    attention, params, _ = form
    spoilt = np.where(HOLES[..., None], MEMORY, np.float32(spoil))

    @jax.jit
    def gradient(memory):
        def total(params, query, memory):
            context, weights = attention.attend(params, query, attention.read(params, memory, HOLES))
            return jnp.sum(jnp.cos(context)) + jnp.sum(weights**2)

        return jax.grad(total, (0, 1, 2))(params, QUERY, memory)

    clean, dirty = gradient(MEMORY), gradient(spoilt)
    jax.tree.map(np.testing.assert_array_equal, dirty, clean)
    d_memory = np.asarray(clean[2])
    assert np.all(d_memory[~HOLES] == 0.0) and np.all(np.any(d_memory[HOLES] != 0.0, axis=-1))


def test_scores_of_any_size_neither_overflow_nor_vanish():
    scores = np.array([[1e38, 0, -1e38], [-1e38, -1e38, 0], [1e4, 1e4, -1e4]], np.float32)
    valid = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]], bool)
    np.testing.assert_allclose(
        jax.jit(masked_softmax)(scores, valid), [[1, 0, 0], [0.5, 0.5, 0], [0.5, 0.5, 0]], atol=1e-6
    )
    slope = jax.jit(jax.grad(lambda scores: jnp.sum(masked_softmax(scores, valid)[:, 0])))(scores)
    assert np.isfinite(slope).all()


def test_padding_more_changes_nothing(form):
    attention, params, _ = form
    more = np.concatenate([MEMORY, 9 * MEMORY[:2]])
    mask = np.concatenate([MASK, np.zeros((2, B), bool)])
    context, weights = answer(attention)(params, QUERY, MEMORY, MASK)
    padded, wider = answer(attention)(params, QUERY, more, mask)
    np.testing.assert_allclose(padded, context, rtol=0, atol=1e-6)
    np.testing.assert_allclose(wider[:, :S], weights, rtol=0, atol=1e-6)


def test_axes_of_queries_are_broadcast(form):
    """Time to the left of the batch, beams over an axis of size 1, and no batch axis at all."""
    attention, params, _ = form
    queries = GENERATOR.normal(size=(3, B, H)).astype(np.float32)
    context, weights = answer(attention)(params, queries, MEMORY, MASK)
    assert context.shape == (3, B, E) and weights.shape == (3, B, S)
    for t in range(3):
        alone = answer(attention)(params, queries[t], MEMORY, MASK)
        np.testing.assert_allclose(context[t], alone[0], rtol=0, atol=1e-6)
        np.testing.assert_allclose(weights[t], alone[1], rtol=0, atol=1e-6)
    for memory, mask in ((MEMORY[:, :1], MASK[:, :1]), (MEMORY[:, 0], MASK[:, 0])):
        context, weights = answer(attention)(params, queries, memory, mask)
        assert context.shape == (3, B, E) and weights.shape == (3, B, S)
        alone = answer(attention)(params, queries[2, 1], MEMORY[:, 0], MASK[:, 0])
        np.testing.assert_allclose(context[2, 1], alone[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", FORMS)
def test_values_and_gradients_are_those_of_torch(name, x64):
    with np.load(GOLDEN) as file:
        golden = {key.partition("/")[2]: file[key] for key in file.files if key.startswith(f"{name}/")}
    attention, form = (
        (additive_attention(5, 4, 7), AdditiveParams)
        if name == "additive"
        else (multiplicative_attention(5, 4), MultiplicativeParams)
    )
    params = form(**{key: golden[key] for key in ("w_query", "w_memory", "v", "w") if key in golden})

    def loss(params, memory, query):
        context, weights = attention.attend(params, query, attention.read(params, memory, golden["mask"]))
        return jnp.sum(jnp.cos(context)) + jnp.sum(weights**2), (context, weights)

    gradient, found = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(params, golden["memory"], golden["query"])
    for value, key in zip(found, ("context", "weights"), strict=True):
        np.testing.assert_allclose(value, golden[key], rtol=0, atol=1e-12)
    for value, key in zip(gradient[1:], ("d_memory", "d_query"), strict=True):
        np.testing.assert_allclose(value, golden[key], rtol=0, atol=1e-12)
    for key, value in vars(gradient[0]).items():
        np.testing.assert_allclose(value, golden[f"d_{key}"], rtol=0, atol=1e-12)


def test_factories_remember_and_refuse():
    assert additive_attention(4, 3) is additive_attention(4, 3, None)
    for make in (additive_attention, multiplicative_attention):
        with pytest.raises(UserError, match="memory_size must be a whole number of at least 1, got 0"):
            make(4, 0)
    attention, _ = FORMS["additive"]
    with pytest.raises(UserError, match="must be bool"):
        attention.read(attention.init(jax.random.key(0)), MEMORY, MASK.T)
