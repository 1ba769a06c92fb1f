"""The laboratory over a Transformer, whose carry is a cache of keys and values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import analysis
from lm_jax.models import attention_lm


T, B, W, L = 9, 2, 3, 2
MODEL = attention_lm(5, hidden_size=8, heads=2, kv_heads=1, feed_forward_size=6, context=W, layers=L)
TOKENS = np.random.default_rng(0).integers(5, size=(T + 1, B), dtype=np.int32)


@pytest.fixture
def params():
    generator = np.random.default_rng(1)
    drawn = MODEL.init(jax.random.key(0))
    return jax.tree.map(lambda a: jnp.asarray(a + 0.3 * generator.normal(size=a.shape)), drawn)


def losses(nudges, params, text):
    """The losses [T] of one text where every cache is moved after each step: keys and values [T, W - 1, G, D]."""

    def step(carry, slices):
        token, target, moves = slices
        carry, logits = MODEL.step(params, carry, token)
        carry = tuple(
            cache._replace(keys=cache.keys + keys, values=cache.values + values)
            for cache, (keys, values) in zip(carry, moves, strict=True)
        )
        return carry, -jax.nn.log_softmax(logits)[target]

    return jax.lax.scan(step, MODEL.initial_carry(params, ()), (text[:-1], text[1:], nudges))[1]


def test_gradients_by_cached_keys_and_values(x64, params):
    """Those of caches that are moved, one step at a time; nothing comes from beyond what the layers above reach."""
    flow = analysis.gradient_flow(MODEL, params, TOKENS)
    still = [(jnp.zeros((T, W - 1, 1, 4)), jnp.zeros((T, W - 1, 1, 4)))] * L
    lag = np.arange(T)[:, None] - np.arange(T)
    for b in range(B):
        jacobians = jax.jit(jax.jacrev(losses))(still, params, jnp.asarray(TOKENS[:, b]))
        for layer, leaves in enumerate(jacobians):
            norms = [np.sqrt(np.square(np.asarray(j)).sum(axis=(2, 3, 4))) for j in leaves]
            norms.append(np.hypot(*norms))
            reach = (L - layer) * (W - 1)
            for name, expected in zip(("keys", "values", "all"), norms, strict=True):
                found = np.exp(flow.carry[layer][name][b])
                past = lag > 0
                np.testing.assert_allclose(found[past], expected[past], rtol=1e-8)
                assert np.all((found > 0) == ((lag > 0) & (lag <= reach)))


@pytest.mark.slow
def test_the_gradient_of_a_weight_is_the_sum_of_its_uses_and_truncation_has_a_bias(params):
    params = jax.tree.map(lambda a: a.astype(jnp.float32), params)
    bias = analysis.truncation_bias(MODEL, params, TOKENS, lengths=(1, T))
    assert bias.cosine["cell"][0] < 0.9999 and bias.cosine["cell"][1] == pytest.approx(1.0, abs=1e-6)
    shares = analysis.weight_gradient_by_step(MODEL, params, TOKENS).shares
    assert all(share.sum() == pytest.approx(1.0, rel=1e-4) for share in jax.tree.leaves(shares))


def test_a_perturbation_of_the_cache_is_lost_altogether(params):
    """A shift register has no exponents: after the reach of all layers nothing of its content is left."""
    params = jax.tree.map(lambda a: a.astype(jnp.float32), params)
    assert np.all(np.isneginf(analysis.lyapunov_exponents(MODEL, params, TOKENS, count=2)))
    with pytest.raises(Exception, match="observe"):
        analysis.gate_values(MODEL, params, TOKENS)
