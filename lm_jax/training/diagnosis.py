"""What in a step was no number: an array that it began with, or the loss or the gradient of a row of the batch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.training.divergence import find_nonfinite
from lm_jax.training.losses import LossFn
from lm_jax.training.recovery import is_finite


class Finding(NamedTuple):
    """The first number that was none.

    tensor: its name. value: inf, -inf or nan. row: of the batch, time: the step in the batch, both from 0; layer: from
    1; None where there is none. gates: of that step and layer that are no numbers, by name.
    """

    tensor: str
    value: float
    row: int | None = None
    layer: int | None = None
    time: int | None = None
    gates: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The finding in a line."""
        named = (("row", self.row), ("time step", self.time), ("layer", self.layer))
        places = [f"{name} {at}" for name, at in named if at is not None]
        gates = f" ({'gates' if len(self.gates) > 1 else 'gate'} {', '.join(self.gates)})" if self.gates else ""
        return f"{self.value:g} in {self.tensor}{gates}{' at ' if places else ''}{', '.join(places)}"


def find_in_state(parts: dict[str, Any]) -> Finding | None:
    """Returns the first array of the batch or the state, by name, that has inf or nan in it."""
    named = find_nonfinite(parts)
    if named is None:
        return None
    value, _, tensor = named.partition(" in ")
    return Finding(tensor, float(value))


def find_by_row(loss_fn: LossFn, params: Any, carry: Any, batch: Any, key: Any) -> Finding | None:
    """Returns the first row whose loss is no number; where all are, the first whose gradient is none, with the name of
    the parameter; then the parameter whose gradient is largest, if the norm overflows.

    Each row is looked at alone, with dropout masks of its own, as a part of the batch.

    Args:
        loss_fn: The loss that is trained.
        params: The parameters before the step.
        carry: The carry before it, leaves [B, ...].
        batch: The batch, leaves [T, B, ...].
        key: The key of the step.
    """

    def of_row(row):
        part = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, row, 1, axis=1), batch)
        own = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, row, 1, axis=0), carry)
        loss = lambda params: loss_fn(params, own, part, key, batch)  # noqa: E731
        (value, (_, tally)), grads = jax.value_and_grad(loss, has_aux=True)(params)
        return jnp.where(jnp.isfinite(value), tally.nll, value), grads, is_finite(grads)

    rows, look = jax.tree.leaves(batch)[0].shape[1], jax.jit(of_row)
    seen = [look(row) for row in range(rows)]
    for row, (loss, _, _) in enumerate(seen):
        if not np.isfinite(loss):
            return Finding("loss", float(loss), row)
    for row, (_, grads, finite) in enumerate(seen):
        if not finite:
            named: Any = find_nonfinite(grads)
            value, _, tensor = named.partition(" in ")
            return Finding(f"gradient of {tensor}", float(value), row)
    return _largest([grads for _, grads, _ in seen])


def _largest(gradients):
    """The parameter and the row whose gradient is largest, where the sum of its squares overflows."""
    best = None
    for row, grads in enumerate(gradients):
        for path, leaf in jax.tree_util.tree_flatten_with_path(grads)[0]:
            largest = float(jnp.max(jnp.abs(leaf)))
            if best is None or largest > best[0]:
                best = largest, row, jax.tree_util.keystr(path, simple=True, separator=".")
    if best is None or best[0] < 1e17:
        return None
    name = f"norm of the gradient, whose largest entry, {best[0]:.3g}, is of {best[2]}"
    return Finding(name, float("inf"), best[1])


def named_arrays(tree: Any) -> dict[str, np.ndarray]:
    """Returns the arrays of a tree by their paths, such as "inputs" or "0.h"."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


DiagnoseFn = Callable[[Any, Any, Any, dict[str, Any]], Finding | None]
