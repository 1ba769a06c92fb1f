"""What a loop over time needs of its operands: a state of at least float32, and inside `shard_map` the same devices.

`shard_map` checks which axes of the mesh a value varies over. A loop must hand on a carry that varies as the one that
it began with, but an initial carry of zeros is the same on all devices, and weights may be; after a step with inputs
that are cut over the devices it is not. So everything that meets in the loop is said to vary over all axes that any of
it does: before the loop, and before a derivative written by hand, so that the gradient of what was the same on all
devices is summed over them.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array


def same_axes(*trees: Any) -> tuple[Any, ...]:
    """Returns the trees with every array varying over the axes that any of them varies over; outside of `shard_map`,
    as they are."""
    axes = frozenset().union(*map(_axes, jax.tree.leaves(trees)))
    return jax.tree.map(lambda leaf: _vary(leaf, axes), trees) if axes else trees


def state_dtype(weights: Array) -> Any:
    """Returns the type of a state beside weights of any type: at least float32, in which rounding does not add up."""
    return jnp.promote_types(weights.dtype, jnp.float32)


def wide(carry: Any) -> Any:
    """Returns a carry whose floating point numbers have at least float32, as a step returns it."""

    def widened(leaf):
        leaf = jnp.asarray(leaf)
        return leaf.astype(state_dtype(leaf)) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(widened, carry)


def _axes(leaf):
    kind: Any = jax.typeof(leaf)
    manual = getattr(kind, "mat", None)
    return frozenset(getattr(kind, "vma", ()) if manual is None else manual.varying)


def _vary(leaf, axes):
    missing = tuple(axes - _axes(leaf))
    if not missing:
        return leaf
    lax: Any = jax.lax
    return lax.pcast(leaf, missing, to="varying") if hasattr(lax, "pcast") else lax.pvary(leaf, missing)
