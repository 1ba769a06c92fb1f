"""Everything that training changes, as one pytree, and the steps that change it: many to a dispatch.

The tokens of an epoch lie on the device. `train_steps(state, streams, count)` runs `count` steps in one jitted loop
with a traced count: one program for any number, and the same bits however the steps are divided into dispatches.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, Int

from lm_jax.cells.base import select
from lm_jax.data.batching import Streams
from lm_jax.models.language_model import LanguageModel
from lm_jax.training import averaging
from lm_jax.training.gradient import build_gradient
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
    """params, the optimizer's state, the carry of the streams, the row where the next chunk starts, the PRNG key, steps
    done, plateau factor, averaged weights (or None), sums."""

    params: Params
    opt_state: optax.OptState
    carry: Carry
    position: Int[Array, ""]
    key: Key
    step: Int[Array, ""]
    learning_rate_scale: Float[Array, ""]
    average: averaging.Average | None
    totals: Totals

    @property
    def evaluation_params(self) -> Params:
        """What is validated, kept as the best, and loaded: the averaged weights where there are any."""
        return self.params if self.average is None else self.average.params


class TrainStepsFn(Protocol):
    """`count` steps of one epoch, each over a chunk of `length` time steps (None: the usual bptt)."""

    def __call__(self, state: TrainState, streams: Streams, count: int, length: int | None = None) -> TrainState: ...


def create_state(
    model: LanguageModel,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    seed: int,
    averaged: bool = False,
) -> TrainState:
    """The state before the first step: everything random follows from the seed."""

    def create(key):
        key_init, key_train = jax.random.split(key)
        params = model.init(key_init)
        return TrainState(
            params=params,
            opt_state=optimizer.init(params),
            carry=model.initial_carry(params, (batch_size,)),
            position=jnp.zeros((), int),
            key=key_train,
            step=jnp.zeros((), int),
            learning_rate_scale=jnp.ones(()),
            average=averaging.start(params) if averaged else None,
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
    accumulate: int = 1,
    update_average: averaging.UpdateFn | None = None,
    hold: Callable[[TrainState], TrainState] = lambda state: state,
    hold_rows: Callable[..., Any] = lambda tree, axis: tree,
) -> TrainStepsFn:
    """(state, streams of the current epoch on the device, count, length) -> state after `count` steps of that epoch.

    The state is donated. length: time steps of these chunks, if not bptt; the learning rate is scaled by
    length / bptt. clip: only to count the steps whose gradient norm passed it; clipping is the optimizer's.
    accumulate: parts that the streams are worked off in, one after the other.
    hold, hold_rows: what keeps the state, and rows of the batch, on the devices where they lie (`Devices`).
    """
    gradient = build_gradient(loss_fn, accumulate, hold_rows)

    def step(state, streams, length):
        first = state.step % steps_per_epoch == 0
        start = jnp.where(first, 0, state.position)
        carry, chunk = _next_chunk(model, state, streams, start, length, mode, eol_id)
        key = jax.random.fold_in(state.key, state.step)
        grads, carry, tally = gradient(state.params, carry, chunk, key)
        grad_norm = optax.tree.norm(grads)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        updates = jax.tree.map(lambda u: u * (state.learning_rate_scale * (length / bptt)), updates)
        params = optax.apply_updates(state.params, updates)
        clipped = grad_norm > jnp.inf if clip is None else grad_norm > clip
        sums = Totals(tally.nll, tally.tokens, 1, grad_norm, clipped)
        return state.replace(
            params=params,
            opt_state=opt_state,
            carry=carry,
            position=start + length,
            step=state.step + 1,
            average=update_average(state.average, params) if update_average else state.average,
            totals=jax.tree.map(lambda total, x: (total + x).astype(total.dtype), state.totals, sums),
        )

    @functools.partial(jax.jit, donate_argnums=0, static_argnames="length")
    def train_steps(state, streams, count, length=None):
        return jax.lax.fori_loop(0, count, lambda _, s: hold(step(s, streams, length or bptt)), state)

    return train_steps


def _next_chunk(model, state, streams, start, length, mode, eol_id):
    """The chunk that starts at row `start` of the epoch, and the carry it starts from."""
    rows = jax.lax.dynamic_slice_in_dim(streams.tokens, start, length + 1)
    inputs, targets = rows[:-1], rows[1:]
    mask = (start + jnp.arange(length))[:, None] < streams.lengths
    if mode == "sentence":
        return state.carry, Chunk(inputs, targets, mask, inputs == eol_id)
    # A carried stream is reset only where the epoch starts: outside the loop over time.
    initial = model.initial_carry(state.params, inputs.shape[1:])
    carry = select(jnp.broadcast_to(start == 0, inputs.shape[1:]), initial, state.carry)
    return carry, Chunk(inputs, targets, mask, None)
