"""The chunks that the steps cut on the device are the batches of the host."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax.data import Batches
from lm_jax.models import LanguageModel
from lm_jax.training import Tally, build_train_steps, create_state, text_source


EOL, T, B = 0, 6, 4


def initial_carry(params, batch_shape):
    """Room for what the last chunk was, and the number of chunks since the carry was initial."""
    rows = jnp.zeros((*batch_shape, T), int)
    chunk = dict.fromkeys(("inputs", "targets", "mask", "reset"), rows)
    return {**chunk, "age": jnp.zeros(batch_shape, int), "key": jnp.zeros((*batch_shape, 2), jnp.uint32)}


def loss(params, carry, chunk, key, whole=None):
    """Nothing to minimise: the chunk goes into the carry."""
    starts = jnp.zeros((T, B), int).at[0].set(carry["age"] == 0)
    reset = starts if chunk.reset is None else chunk.reset
    seen = {"inputs": chunk.inputs, "targets": chunk.targets, "mask": chunk.mask, "reset": reset}
    carry = {**{name: array.T.astype(int) for name, array in seen.items()}, "age": carry["age"] + 1}
    carry["key"] = jnp.broadcast_to(jax.random.key_data(key), (B, 2))
    return 0.0 * params, (carry, Tally(jnp.zeros(()), jnp.sum(chunk.mask)))


@pytest.mark.parametrize("mode", ["stream", "sentence"])
@pytest.mark.parametrize("length", [203, 4 * 6 * 5])
def test_chunks_on_the_device_are_those_of_the_host(mode, length):
    tokens = np.random.default_rng(0).integers(0, 5, length).astype(np.int32)
    batches = Batches(tokens, EOL, B, T, mode)
    model = LanguageModel(lambda key: jnp.zeros(()), initial_carry, None, None, None, 5)
    optimizer, source, per_epoch = optax.sgd(1.0), text_source(batches, model), batches.steps_per_epoch
    train_steps = build_train_steps(loss, source, optimizer)
    carry = initial_carry(None, (B,))
    state = create_state(model.init, source, optimizer, 0).replace(carry=jax.tree.map(jnp.copy, carry))
    keys = set()
    for step in range(2 * per_epoch + 1):
        streams = jax.tree.map(jnp.asarray, source.epoch(step // per_epoch))
        state = train_steps(state, streams, 1)
        expected = batches.batch_at(step)
        for name in ("inputs", "targets", "mask", "reset"):
            np.testing.assert_array_equal(state.carry[name].T, getattr(expected, name), err_msg=f"{name} {step}")
        keys.add(np.asarray(state.carry["key"][0]).tobytes())
    assert len(keys) == step + 1  # randomness is drawn anew at every step
