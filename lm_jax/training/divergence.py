"""Divergence: a loss or a parameter that is no longer a number ends a run before such a state is saved."""

import math

import jax
import jax.numpy as jnp

from lm_jax.errors import UserError
from lm_jax.training.state import TrainState


ADVICE = "the run keeps its checkpoints from before; lower learning_rate or clip"


class Diverged(UserError):
    """The loss is no longer a number; nothing of that state was saved."""


def check_state(state: TrainState) -> None:
    """Raises Diverged unless the sum of losses and all parameters are finite."""
    check_loss(float(state.totals.nll), int(state.step))
    if not _all_finite(state.params):
        raise _diverged(f"the parameters must stay finite, got inf or nan by step {int(state.step)}: {ADVICE}")


def check_loss(loss: float, step: int) -> None:
    """Raises Diverged unless a loss is finite."""
    if not math.isfinite(loss):
        raise _diverged(f"the loss must stay finite, got {loss} by step {step}: {ADVICE}")


def _diverged(message):
    return Diverged(message, settings=("learning_rate", "clip"))


@jax.jit
def _all_finite(params):
    return jax.tree.reduce(jnp.logical_and, jax.tree.map(lambda p: jnp.isfinite(p).all(), params))
