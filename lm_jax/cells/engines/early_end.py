"""A scan that ends early: where a batch is padded, the steps after its last real one are not done at all.

The number of steps is known only when the program runs, so the loop has no derivative of its own: it is for rules that
bring one (lm_jax/cells/engines/fused.py).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from lm_jax.cells.varying import same_axes
from lm_jax.types import Carry, Mask


def real_steps(mask: Mask) -> Int[Array, ""]:
    """Returns the number of steps up to the last one that is real in any row of mask [T, *B]; 0 where there is none."""
    real = jnp.any(mask, axis=tuple(range(1, mask.ndim)))
    return jnp.max(jnp.where(real, jnp.arange(1, mask.shape[0] + 1), 0), initial=0)


def scan_first(
    count: Array, body: Callable[[Carry, Any], tuple[Carry, Any]], carry: Carry, xs: Any, reverse: bool = False
) -> tuple[Carry, Any]:
    """`lax.scan` over the first `count` steps of xs, in reverse from the last of them; the other outputs are zeros.

    Args:
        count: The number of steps, a traced integer from 0 to T.
        body: The function of a step, as `lax.scan` takes it: (carry, x) -> (carry, y).
        carry: The carry before the first step.
        xs: A pytree of inputs, leaves [T, ...].
        reverse: Begins with step count - 1 and ends with step 0.

    Returns:
        The carry after the last step, and the outputs [T, ...].
    """

    def at(t):
        return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, t, keepdims=False), xs)

    def step(i, state):
        carry, ys = state
        t = count - 1 - i if reverse else i
        carry, y = body(carry, at(t))
        return carry, jax.tree.map(lambda all_, row: jax.lax.dynamic_update_index_in_dim(all_, row, t, 0), ys, y)

    steps = jax.tree.leaves(xs)[0].shape[0]
    if not steps:  # `at` is traced even where the loop never runs, and out of no steps it cannot take one
        return jax.lax.scan(body, carry, xs)
    _, y = jax.eval_shape(body, carry, jax.eval_shape(at, 0))
    ys = jax.tree.map(lambda row: jnp.zeros((steps, *row.shape), row.dtype), y)
    return jax.lax.fori_loop(0, count, step, (carry, same_axes(ys, carry, xs)[0]))
