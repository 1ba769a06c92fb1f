"""Rollback of a state that went bad in memory: the newest state that was found finite, and a step that is left out.

A step that is no number is never applied (`recovery`), so a state becomes infinite or NaN only by what no step can
see: a fault of the machine, or an optimiser of the user's own. It is looked at before every dispatch and at everything
that the plan says is to be done, and where it is bad the training goes back to the newest state that was held and does
the steps since then anew, one by one. There are two cases:

    the steps give a finite state       the fault was of the memory: the run has the bits of one without it
    a step gives a bad state again      this batch is left out, as that of a step that is no number

Neither depends on how the steps were divided into dispatches, on when the fault was noticed, or on where the states
were held: each step gives the bits that it gave before. A state is held, on the host, when it is saved.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.training.batch_source import BatchSource
from lm_jax.training.recovery import FAULTS, Outcome, Policy, note
from lm_jax.training.state import TrainState


class HeldState:
    """A copy of a state in the memory of the host, which no step that is given the state itself can write to."""

    def __init__(self, state: TrainState):
        self.step = int(state.step)
        self._leaves = jax.tree.map(_hold, state)

    def restore(self) -> TrainState:
        """Makes the state anew, on the devices that it was on."""
        return jax.tree.map(lambda make: make(), self._leaves)


def hold(state: TrainState) -> HeldState | None:
    """Copies a state; None where nothing counts the steps that are left out, and where several processes have parts of
    the state, of which none could copy all."""
    return None if state.incidents is None or jax.process_count() > 1 else HeldState(state)


def leave_out(
    policy: Policy, batches: BatchSource, before: TrainState, after: TrainState, epoch: Any, length: int
) -> TrainState:
    """Returns the state after a step that is left out: that before it but for its place, its number and the counters.

    Args:
        policy: what is done after how many of them.
        batches: say what carry the batch begins with.
        before: the state that the step began with.
        after: what came of it, for the place in the text.
        epoch: the arrays of the epoch.
        length: of the batch.
    """
    first = int(before.step) % batches.steps_per_epoch == 0
    start = jnp.where(first, 0, before.position)
    begun, _ = batches.batch(before.params, epoch, before.carry, start, length)
    unknown = jnp.full((), jnp.nan)
    outcome = Outcome(unknown, jnp.ones((), int), unknown, jnp.ones(()), begun)
    assert before.incidents is not None, "a state is held only where steps that are left out are counted"
    left_out = dataclasses.replace(
        before,
        carry=begun,
        position=after.position,
        step=after.step,
        totals=before.totals._replace(steps=after.totals.steps, clipped=after.totals.clipped),
        incidents=note(policy, before.incidents, jnp.asarray(FAULTS.index("state")), outcome),
    )
    return jax.tree.map(lambda leaf, like: jax.device_put(leaf, like.sharding), left_out, before)


def _hold(leaf) -> Callable[[], jax.Array]:
    """What makes an array anew. It is given a copy of its own, since a step may write where it was given a state."""
    sharding = leaf.sharding
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data, kind = np.array(jax.random.key_data(leaf)), jax.random.key_impl(leaf)
        return lambda: jax.device_put(jax.random.wrap_key_data(jnp.array(data), impl=kind), sharding)
    array = np.array(leaf)
    return lambda: jax.device_put(array.copy(), sharding)
