"""The loss of a chunk against a loop over single steps."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import rnn
from lm_jax.models import recurrent_lm
from lm_jax.training import cross_entropy
from lm_jax.training.losses import Chunk, smoothed_cross_entropy


EOL = 0


@pytest.mark.parametrize("kind", ["reset", "no reset"])
def test_the_loss_is_the_mean_over_real_tokens(kind):
    model = recurrent_lm(5, rnn(3, 4))
    params = model.init(jax.random.key(0))
    params = params.replace(b_out=jnp.arange(5.0), embedding=5 * params.embedding)
    generator = np.random.default_rng(1)
    inputs, targets = generator.integers(0, 5, (2, 6, 3)).astype(np.int32)
    mask = np.arange(6)[:, None] < np.array([6, 4, 0])
    reset = inputs == EOL if kind == "reset" else None
    start = model.initial_carry(params, (3,)) + 0.3
    chunk = Chunk(inputs, targets, mask, reset)
    loss, (carry, tally) = cross_entropy(model)(params, start, chunk, jax.random.key(0))

    total = 0.0
    for row in range(3):
        state = start[row]
        for t in itertools.takewhile(lambda t, row=row: mask[t, row], range(6)):
            if kind == "reset" and reset[t, row]:
                state = model.initial_carry(params, ())
            state, logits = model.step(params, state, inputs[t, row])
            total -= float(jax.nn.log_softmax(logits)[targets[t, row]])
        if mask[-1, row]:
            np.testing.assert_allclose(carry[row], state, atol=1e-6)
    assert float(tally.nll) == pytest.approx(total, rel=1e-5)
    assert int(tally.tokens) == 10 and float(loss) == pytest.approx(total / 10, rel=1e-5)


def test_a_chunk_without_tokens_costs_nothing():
    model = recurrent_lm(5, rnn(3, 4))
    params = model.init(jax.random.key(0))
    empty = Chunk(np.zeros((2, 3), np.int32), np.zeros((2, 3), np.int32), np.zeros((2, 3), bool), None)
    loss_fn = jax.jit(cross_entropy(model))
    loss, (_, tally) = loss_fn(params, model.initial_carry(params, (3,)), empty, jax.random.key(0))
    assert float(loss) == 0 and int(tally.tokens) == 0


def test_smoothed_targets_are_in_part_uniform():
    """Against the cross-entropy with each of the five types as the target, one after the other."""
    model = recurrent_lm(5, rnn(3, 4))
    params = jax.tree.map(lambda leaf: 3 * leaf, model.init(jax.random.key(0)))
    inputs, targets = np.random.default_rng(1).integers(0, 5, (2, 6, 3)).astype(np.int32)
    chunk = Chunk(inputs, targets, np.arange(6)[:, None] < np.array([6, 4, 0]), None)
    start, key = model.initial_carry(params, (3,)), jax.random.key(0)
    hard, soft = jax.jit(cross_entropy(model)), jax.jit(smoothed_cross_entropy(model, 0.2))
    plain, (_, tally) = hard(params, start, chunk, key)
    each = [hard(params, start, chunk._replace(targets=np.full_like(targets, v)), key)[0] for v in range(5)]
    loss, (_, smoothed) = soft(params, start, chunk, key)
    np.testing.assert_allclose(loss, 0.8 * plain + 0.2 * np.mean(each), rtol=1e-6)
    np.testing.assert_allclose(smoothed.nll, tally.nll, rtol=1e-6)
    halves = [jax.tree.map(lambda a, part=part: a[:, part], chunk) for part in (slice(0, 1), slice(1, 3))]
    parts = [
        soft(params, start[part], half, key, chunk)[0]
        for part, half in zip((slice(0, 1), slice(1, 3)), halves, strict=True)
    ]
    np.testing.assert_allclose(sum(parts), loss, rtol=1e-6)
    assert jax.jit(smoothed_cross_entropy(model, 0.0))(params, start, chunk, key)[0] == plain
