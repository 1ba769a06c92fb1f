"""A task without text, without a carry and with batches of its own: the parity of strings of three bits."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.training import BatchSource, Tally, one_a_step


BITS, B, STEPS = 3, 8, 5  # bits of a string, strings of a batch, batches of an epoch
STRINGS = np.array(list(itertools.product((0, 1), repeat=BITS)), np.int32)


def init(key):
    """A network with one hidden layer of 16 units."""
    keys = jax.random.split(key)
    return {"w": jax.random.normal(keys[0], (BITS, 16)), "b": jnp.zeros(16), "v": jax.random.normal(keys[1], (16, 2))}


def epoch(number):
    """Strings of bits [STEPS, BITS, B], other ones in each pass."""
    drawn = np.random.default_rng(number).integers(0, len(STRINGS), (STEPS, B))
    return STRINGS[drawn].transpose(0, 2, 1)


def batch(params, strings, carry, start, length):
    """The batch number `start` of an epoch: bits [BITS, B]."""
    return carry, strings[start]


def loss(params, carry, bits, key, whole=None):
    """The mean cross-entropy over the strings of the whole batch, with some noise in the hidden units."""
    hidden = jnp.tanh((2.0 * bits.T - 1.0) @ params["w"] + params["b"])
    hidden += 0.001 * jax.random.normal(key, hidden.shape)
    log_probs = jax.nn.log_softmax(hidden @ params["v"])
    nll = -jnp.sum(jnp.take_along_axis(log_probs, bits.sum(axis=0)[:, None] % 2, axis=1))
    count = (bits if whole is None else whole).shape[1]
    return nll / count, (carry, Tally(nll, jnp.asarray(bits.shape[1])))


SOURCE = BatchSource(
    steps_per_epoch=STEPS,
    epoch=epoch,
    batch=batch,
    lengths=one_a_step(STEPS),
    usual_length=1,
    targets_per_epoch=STEPS * B,
)
