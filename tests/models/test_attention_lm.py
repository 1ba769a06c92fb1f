"""The causal Transformer against its equations, its laws in float64, long texts in pieces, and its settings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.inference.generation import generate
from lm_jax.inference.sampling import Sampler
from lm_jax.layers import rms_norm
from lm_jax.models.attention import attention_lm, cached_attention
from tests.cases import assert_close, draw_like, hide, step_by_step, weighted_sum, where
from tests.oracles.transformers import transformer


V, B, HEADS = 7, 3, 4
SIZES = {"hidden_size": 16, "heads": HEADS, "feed_forward_size": 12}


def make(dtype="float64", **options):
    """A model, and parameters that are not near those of any special case."""
    model = attention_lm(V, **{**SIZES, **options})
    params = model.init(jax.random.key(0))
    noise = draw_like(params, seed=2)
    return model, jax.tree.map(lambda a, n: jnp.asarray(np.asarray(a) + n, dtype), params, noise)


def tokens_of(steps, seed=0):
    """Random ids [steps, B]."""
    return np.random.default_rng(seed).integers(V, size=(steps, B), dtype=np.int32)


def switches_of(steps):
    """Ragged masks and resets, some of both at one step."""
    generator = np.random.default_rng(4)
    lengths = np.array([steps, steps // 2, steps - 1])
    mask = (np.arange(steps)[:, None] < lengths) & (generator.random((steps, B)) > 0.2)
    return {"mask": mask, "reset": generator.random((steps, B)) < 0.1}


FORMS = {
    "one head of keys": ({"context": 20, "kv_heads": 1, "layers": 2}, 9),
    "groups": ({"context": 20, "kv_heads": 2, "tied": True}, 9),
    "band": ({"context": 3, "layers": 3}, 9),
    "pieces": ({"context": 5, "layers": 1}, 150),
}


@pytest.mark.parametrize("name", FORMS)
def test_logits_equal_those_of_full_attention_without_a_cache(name, x64):
    options, steps = FORMS[name]
    model, params = make(**options)
    tokens = tokens_of(steps)[:, :2]
    _, logits = jax.jit(model.unroll)(params, model.initial_carry(params, (2,)), tokens)
    p = jax.tree.map(np.asarray, params)
    expected = [transformer(p, tokens[:, b], HEADS, options["context"]) for b in range(2)]
    np.testing.assert_allclose(logits, np.stack(expected, axis=1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_long_chunk_in_pieces_equals_its_steps_and_their_gradient(dtype, x64):
    """Three pieces, the last of them padded, with masks and resets anywhere."""
    steps = 2 * cached_attention.PIECE + 9
    model, params = make(dtype, context=5, kv_heads=2, layers=2)
    tokens, switches = tokens_of(steps), switches_of(steps)
    tolerance = {"float32": 1e-5, "float64": 1e-10}[dtype]
    carry = model.initial_carry(params, (B,))

    def through_steps(params, carry):
        def body(carry, slices):
            token, keep, restart = slices
            start = where(restart, model.initial_carry(params, (B,)), carry)
            new, y = model.step(params, start, token)
            return where(keep, new, carry), y

        return jax.lax.scan(body, carry, (tokens, switches["mask"], switches["reset"]))

    def through_unroll(params, carry):
        return model.unroll(params, carry, tokens, **switches)

    def value_and_gradient(f):
        def value(params):
            result = f(params, carry)
            return weighted_sum(result, switches["mask"]), result

        (_, (last, ys)), gradient = jax.jit(jax.value_and_grad(value, has_aux=True))(params)
        return last, hide(switches["mask"], ys), gradient

    assert_close(value_and_gradient(through_unroll), value_and_gradient(through_steps), tolerance)


def test_unroll_equals_steps_from_a_carry_that_was_read(x64):
    """Chunks shorter than the window, whose cache is partly filled."""
    model, params = make(context=8)
    carry, _ = jax.jit(model.unroll)(params, model.initial_carry(params, (B,)), tokens_of(5, seed=1))
    switches = switches_of(7)
    last, ys = jax.jit(model.unroll)(params, carry, tokens_of(7), **switches)
    expected, expected_ys = step_by_step(model, params, carry, tokens_of(7), step=jax.jit(model.step), **switches)
    assert_close((last, hide(switches["mask"], ys)), (expected, hide(switches["mask"], expected_ys)), 1e-10)


def test_only_the_last_tokens_of_the_context_matter_to_one_layer():
    """Bit for bit; the oldest of them does, and two layers look twice as far."""
    text = np.array([2, 4, 1, 5, 0, 3, 3, 1], np.int32)
    for layers, reach in ((1, 3), (2, 5)):
        model, params = make("float32", context=3, layers=layers)
        carry, unroll = model.initial_carry(params, ()), jax.jit(model.unroll)
        there = unroll(params, carry, text)[1][-1]
        for place in range(len(text)):
            changed = text.copy()
            changed[place] = 6
            same = np.array_equal(unroll(params, carry, changed)[1][-1], there)
            assert same == (place < len(text) - reach), (layers, place)


def test_positions_are_relative():
    """The same tokens later in a stream, after a reset or behind padding, have the same logits."""
    model, params = make("float32", context=4)
    carry, text = model.initial_carry(params, ()), np.array([1, 2, 3], np.int32)
    unroll = jax.jit(model.unroll)
    alone = unroll(params, carry, text)[1]
    stream = np.concatenate([tokens_of(40)[:, 0], text])
    reset = np.arange(43) == 40
    np.testing.assert_allclose(unroll(params, carry, stream, reset=reset)[1][-3:], alone, atol=1e-5)
    mask = np.array([0, 0, 1, 0, 1, 1], bool)
    padded = np.array([6, 6, 1, 6, 2, 3], np.int32)
    np.testing.assert_allclose(unroll(params, carry, padded, mask=mask)[1][mask], alone, atol=1e-5)


def test_the_carry_is_the_cache_and_its_size_is_that_of_the_heads_of_keys():
    model, params = make("float32", context=6, kv_heads=2, layers=3)
    carry = model.initial_carry(params, (B,))
    assert [cache.keys.shape for cache in carry] == [(B, 5, 2, 4)] * 3
    unroll = jax.jit(model.unroll)
    carry, _ = unroll(params, carry, tokens_of(4))
    assert carry[0].filled.tolist() == [4] * B and np.all(np.asarray(carry[0].keys)[:, 0] == 0)
    carry, _ = unroll(params, carry, tokens_of(4), mask=np.ones((4, B), bool))
    assert carry[0].filled.tolist() == [5] * B


def test_what_is_generated_step_by_step_is_what_scoring_finds_likeliest():
    model, params = make("float32", context=4, layers=2)
    text = generate(
        model, params, np.array([3, 1], np.int32), 12, jax.random.key(0), eol_id=0, sampler=Sampler(greedy=True)
    )
    read = np.concatenate([[0, 3, 1], text[:, 0]]).astype(np.int32)
    _, logits = jax.jit(model.unroll)(params, model.initial_carry(params, ()), read)
    np.testing.assert_array_equal(np.argmax(logits, axis=-1)[2:-1], text[:, 0])


def test_rms_norm():
    x = np.array([3.0, -4.0, 0.0, 0.0])
    np.testing.assert_allclose(rms_norm(x, np.array([1.0, 2, 3, 4])), [3 / 2.5, -8 / 2.5, 0, 0], rtol=1e-5)


MISTAKES = {
    "heads": ({"heads": 3}, "heads must divide hidden_size 16 into parts of an even size .* got 3"),
    "odd": ({"heads": 16}, "parts of an even size .* got 16"),
    "kv_heads": ({"kv_heads": 3}, "kv_heads must divide heads 4, got 3"),
    "context": ({"context": 1}, "context must be at least 2, .* got 1"),
    "layers": ({"layers": 0}, "layers must be .* got 0"),
    "feed_forward_size": ({"feed_forward_size": 0}, "feed_forward_size must be .* got 0"),
    "vocabulary": ({}, "at least 2 entries, got 1"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_refused(name):
    options, message = MISTAKES[name]
    with pytest.raises(UserError, match=message):
        attention_lm(1 if name == "vocabulary" else V, **{**SIZES, **options})


def test_a_feed_forward_network_has_the_weights_of_four_times_the_size_ungated():
    params = jax.eval_shape(attention_lm(V, hidden_size=96, heads=4).init, jax.random.key(0))
    layer = params.cell.cells[0]
    assert layer.w_gate.shape == (96, 256) and 3 * layer.w_gate.size == 2 * 4 * 96 * 96
