"""Divergence: a state that is no longer finite is never saved, and a training that cannot go on ends with one line."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from lm_jax.errors import UserError
from lm_jax.training.recovery import is_finite
from lm_jax.training.state import TrainState


ADVICE = "the checkpoints from before are kept; lower learning_rate or clip"
SETTINGS = ("learning_rate", "clip")
_STATE = ("params", "opt_state", "carry", "average")


@contextlib.contextmanager
def own_checks() -> Iterator[None]:
    """Keeps JAX from checking numbers itself (JAX_DEBUG_NANS, JAX_DEBUG_INFS): it would end a training at a step that
    the training leaves out, and of which it tells where the number came from."""
    with jax.debug_nans(False), jax.debug_infs(False):
        yield


class Diverged(UserError):
    """The training has no finite step to take; nothing of a state that is not finite was saved."""


def check_state(state: TrainState) -> None:
    """Raises Diverged unless the sum of losses and all that the next step begins with are finite."""
    check_loss(float(state.totals.nll), int(state.step))
    parts = {name: getattr(state, name) for name in _STATE}
    if not _all_finite(parts):
        words = "parameters" if not _all_finite(state.params) else "training state"
        raise diverged(f"the {words} must stay finite, got {find_nonfinite(parts)} by step {int(state.step)}")


def check_loss(loss: float, step: int) -> None:
    """Raises Diverged unless a loss is finite."""
    if not math.isfinite(loss):
        raise diverged(f"the loss must stay finite, got {loss} by step {step}")


def diverged(message: str) -> Diverged:
    """Makes the error, with what to do about it."""
    return Diverged(f"{message}: {ADVICE}", settings=SETTINGS)


def find_nonfinite(tree: Any) -> str | None:
    """Names the first array of a tree that has inf or nan in it, with the place; None where all are finite."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if not jax.numpy.issubdtype(leaf.dtype, np.inexact) or _all_finite(leaf):
            continue
        values = np.asarray(leaf, np.float32)
        place = np.argwhere(~np.isfinite(values))[0]
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        at = f"[{', '.join(map(str, place))}]" if place.size else ""
        return f"{values[tuple(place)]} in {name}{at}"
    return None


_all_finite = jax.jit(is_finite)
