"""Everything that training changes, as one pytree, and the steps that change it: many to a dispatch.

The tokens of an epoch lie on the device. `train_steps(state, streams, count)` runs `count` steps in one jitted loop
with a traced count: one program for any number, and the same bits however the steps are divided into dispatches.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, Int

from lm_jax.cells.base import select
from lm_jax.data.batching import Streams
from lm_jax.models.language_model import LanguageModel
from lm_jax.training.losses import Chunk, LossFn
from lm_jax.types import Carry, Key, Params


class Totals(NamedTuple):
    """Sums over the steps since the last report. grad_norm: of the norms before clipping; clipped: steps that were."""

    nll: Float[Array, ""]
    tokens: Int[Array, ""]
    steps: Int[Array, ""]
    grad_norm: Float[Array, ""]
    clipped: Int[Array, ""]


def zero_totals() -> Totals:
    """The sums before the first step; five arrays, since a donated buffer may be named only once."""
    return Totals(jnp.zeros(()), jnp.zeros((), int), jnp.zeros((), int), jnp.zeros(()), jnp.zeros((), int))


@struct.dataclass
class TrainState:
    """params, the optimizer's state, the carry of the streams, the PRNG key, steps done, plateau factor, sums."""

    params: Params
    opt_state: optax.OptState
    carry: Carry
    key: Key
    step: Int[Array, ""]
    learning_rate_scale: Float[Array, ""]
    totals: Totals


TrainStepsFn = Callable[[TrainState, Streams, int], TrainState]


def create_state(
    model: LanguageModel, optimizer: optax.GradientTransformation, batch_size: int, seed: int
) -> TrainState:
    """The state before the first step: everything random follows from the seed."""

    def create(key):
        key_init, key_train = jax.random.split(key)
        params = model.init(key_init)
        return TrainState(
            params=params,
            opt_state=optimizer.init(params),
            carry=model.initial_carry(params, (batch_size,)),
            key=key_train,
            step=jnp.zeros((), int),
            learning_rate_scale=jnp.ones(()),
            totals=zero_totals(),
        )

    return create(jax.random.key(seed))


def build_train_steps(
    model: LanguageModel,
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    *,
    bptt: int,
    steps_per_epoch: int,
    mode: str = "stream",
    eol_id: int = 0,
    clip: float | None = None,
) -> TrainStepsFn:
    """(state, streams of the current epoch on the device, count) -> state after `count` steps of that epoch.

    The state is donated. clip: only to count the steps whose gradient norm passed it; clipping is the optimizer's.
    """

    def step(state, streams):
        index = state.step % steps_per_epoch
        carry, chunk = _next_chunk(model, state, streams, index, bptt, mode, eol_id)
        key = jax.random.fold_in(state.key, state.step)
        gradient = jax.value_and_grad(loss_fn, has_aux=True)
        (_, (carry, tally)), grads = gradient(state.params, carry, chunk, key)
        grad_norm = optax.global_norm(grads)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        updates = jax.tree.map(lambda u: u * state.learning_rate_scale, updates)
        clipped = grad_norm > jnp.inf if clip is None else grad_norm > clip
        sums = Totals(tally.nll, tally.tokens, 1, grad_norm, clipped)
        return state.replace(
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
            carry=carry,
            step=state.step + 1,
            totals=jax.tree.map(lambda total, x: (total + x).astype(total.dtype), state.totals, sums),
        )

    @functools.partial(jax.jit, donate_argnums=0)
    def train_steps(state, streams, count):
        return jax.lax.fori_loop(0, count, lambda _, s: step(s, streams), state)

    return train_steps


def _next_chunk(model, state, streams, index, bptt, mode, eol_id):
    """The chunk at `index` of the epoch, and the carry it starts from."""
    start = index * bptt
    rows = jax.lax.dynamic_slice_in_dim(streams.tokens, start, bptt + 1)
    inputs, targets = rows[:-1], rows[1:]
    mask = (start + jnp.arange(bptt))[:, None] < streams.lengths
    if mode == "sentence":
        return state.carry, Chunk(inputs, targets, mask, inputs == eol_id)
    # A carried stream is reset only where the epoch starts: outside the loop over time.
    initial = model.initial_carry(state.params, inputs.shape[1:])
    carry = select(jnp.broadcast_to(index == 0, inputs.shape[1:]), initial, state.carry)
    return carry, Chunk(inputs, targets, mask, None)
