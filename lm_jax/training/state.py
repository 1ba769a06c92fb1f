"""The training state as one pytree, and the steps that advance it, many to a dispatch.

The arrays of an epoch lie on the device. `train_steps(state, epoch, count)` runs `count` steps in one jitted loop
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

from lm_jax.training import averaging
from lm_jax.training.batch_source import BatchSource
from lm_jax.training.gradient import build_gradient
from lm_jax.training.losses import LossFn
from lm_jax.types import Carry, Key, Params


class Totals(NamedTuple):
    """Sums over the steps since the last report.

    nll: the losses of all targets, in nats; tokens: the number of targets. grad_norm: the norms before clipping;
    clipped: the steps whose gradient was clipped.
    """

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
    """All that a step of training changes.

    params, opt_state: of the model and the optimiser. carry: what the last batch hands to the next. position: where
    the next batch starts in its epoch. key: of all randomness. step: steps done. learning_rate_scale: the plateau's
    factor. average: averaged weights, or None. totals: sums for the next report.
    """

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
        """The parameters to validate, keep and load: the averaged weights if there are any."""
        return self.params if self.average is None else self.average.params


class TrainStepsFn(Protocol):
    """Does `count` steps of one epoch, each over a batch of `length` (None: the usual one)."""

    def __call__(self, state: TrainState, epoch: Any, count: int, length: int | None = None) -> TrainState: ...


def create_state(
    init: Callable[[Key], Params],
    batches: BatchSource,
    optimizer: optax.GradientTransformation,
    seed: int,
    averaged: bool = False,
) -> TrainState:
    """Makes the state before the first step. Everything random follows from the seed.

    Args:
        init: makes parameters from a key.
        batches: the batches, whose initial carry the state has.
        optimizer: the optimiser.
        seed: seed of parameters, dropout and shuffling.
        averaged: whether averaged weights are kept.
    """

    def create(key):
        key_init, key_train = jax.random.split(key)
        params = init(key_init)
        return TrainState(
            params=params,
            opt_state=optimizer.init(params),
            carry=batches.initial_carry(params),
            position=jnp.zeros((), int),
            key=key_train,
            step=jnp.zeros((), int),
            learning_rate_scale=jnp.ones(()),
            average=averaging.start(params) if averaged else None,
            totals=zero_totals(),
        )

    return create(jax.random.key(seed))


def build_train_steps(
    loss_fn: LossFn,
    batches: BatchSource,
    optimizer: optax.GradientTransformation,
    *,
    clip: float | None = None,
    accumulate: int = 1,
    update_average: averaging.UpdateFn | None = None,
    hold: Callable[[TrainState], TrainState] = lambda state: state,
    hold_rows: Callable[..., Any] = lambda tree, axis: tree,
) -> TrainStepsFn:
    """Makes the jitted function that trains: (state, epoch on the device, count, length) -> state after `count` steps.

    The state is donated. A batch of another than the usual length scales the learning rate by length / usual length.

    Args:
        loss_fn: the loss of a batch.
        batches: where batches come from.
        optimizer: clips, decays and steps.
        clip: only counts the steps whose gradient norm passed it; clipping is the optimizer's.
        accumulate: gradient-accumulation steps, each with a part of the rows of a batch.
        update_average: moves the averaged weights; None without any.
        hold: keeps the state on its devices (`Devices`).
        hold_rows: keeps rows of the batch on theirs.
    """
    gradient = build_gradient(loss_fn, accumulate, hold_rows)

    def step(state, epoch, length):
        first = state.step % batches.steps_per_epoch == 0
        start = jnp.where(first, 0, state.position)
        carry, batch = batches.batch(state.params, epoch, state.carry, start, length)
        key = jax.random.fold_in(state.key, state.step)
        grads, carry, tally = gradient(state.params, carry, batch, key)
        grad_norm = optax.tree.norm(grads)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        usual = length if batches.usual_length is None else batches.usual_length
        scale = state.learning_rate_scale * (length / usual)
        params = optax.apply_updates(state.params, jax.tree.map(lambda u: u * scale, updates))
        clipped = grad_norm > jnp.inf if clip is None else grad_norm > clip
        sums = Totals(tally.nll, tally.tokens, jnp.ones((), int), grad_norm, clipped)
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
    def train_steps(state, epoch, count, length=None):
        return jax.lax.fori_loop(0, count, lambda _, s: hold(step(s, epoch, length or batches.usual_length)), state)

    return train_steps
