"""A causal convolution over time before a cell, one filter a feature (De et al. 2024, arXiv:2402.19427, section 2.4).

    u_t = b + sum_k w_k * x_{t-k}        k = 0 .. W-1; what lies before the first step is 0
    the cell reads u_t

The carry holds the last W - 1 inputs. A masked step is no step: it is left out of what later steps see.
Shapes: x, u [*B, E], w [W, E] with the oldest step first, window [*B, W-1, E].
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell, masked_scan
from lm_jax.cells.varying import same_axes, state_dtype, wide
from lm_jax.errors import UserError
from lm_jax.types import Carry, Mask, Params


@struct.dataclass
class ConvolvedParams:
    """w [W, E] the filters, b [E], and the parameters of the cell."""

    w: Float[Array, "W E"]
    b: Float[Array, "E"]
    cell: Params


class ConvolvedCarry(NamedTuple):
    """The last K = W - 1 inputs, the oldest first, and the carry of the cell."""

    window: Float[Array, "*B K E"]
    cell: Carry


@cached
def convolved(cell: Cell, width: int) -> Cell:
    """Makes the cell that reads its input through a causal convolution over `width` steps; itself where width is 0.

    Raises:
        UserError: For a width that is no whole number of at least 0.
    """
    if isinstance(width, bool) or not isinstance(width, int) or width < 0:
        raise UserError(f"convolution must be a whole number of at least 0, got {width}", ["convolution"])
    if width == 0:
        return cell

    def init(key):
        key_w, key_cell = jax.random.split(key)
        bound = width**-0.5
        w = jax.random.uniform(key_w, (width, cell.input_size), jnp.float32, minval=-bound, maxval=bound)
        return ConvolvedParams(w, jnp.zeros((cell.input_size,), jnp.float32), cell.init(key_cell))

    def initial_carry(params, batch_shape):
        window = jnp.zeros((*batch_shape, width - 1, cell.input_size), state_dtype(params.w))
        return ConvolvedCarry(window, cell.initial_carry(params.cell, batch_shape))

    def read(params, seen):
        return jnp.sum(seen * params.w, axis=-2) + params.b

    def step(params, carry, x):
        seen = jnp.concatenate([carry.window, x[..., None, :]], axis=-2)
        inner, y = cell.step(params.cell, carry.cell, read(params, seen))
        return ConvolvedCarry(seen[..., 1:, :], inner), y

    def unroll(params, carry, xs, *, mask=None, reset=None, key=None):
        window, seen = _windows(carry.window, xs, mask, reset)
        inner, ys = cell.unroll(params.cell, carry.cell, read(params, seen), mask=mask, reset=reset, key=key)
        return ConvolvedCarry(window, inner), ys

    made = Cell(init, initial_carry, step, unroll, cell.input_size, cell.output_size)
    inside = cell.observe
    if inside is None:
        return made

    def observe(params, carry, x):
        seen = jnp.concatenate([carry.window, x[..., None, :]], axis=-2)
        return inside(params.cell, carry.cell, read(params, seen))

    return made._replace(observe=observe)


def _windows(
    window: Float[Array, "*B W-1 E"], xs: Float[Array, "T *B E"], mask: Mask | None, reset: Mask | None
) -> tuple[Array, Array]:
    """Returns the last window, and what every step sees, [T, *B, W, E]."""

    def shift(window, x):
        seen = jnp.concatenate([window, x[..., None, :]], axis=-2)
        return seen[..., 1:, :], seen

    window = wide(window)
    window, xs, mask, reset = same_axes(window, xs.astype(window.dtype), mask, reset)
    if mask is not None or reset is not None:  # which inputs are a step's last ones depends on the row
        return masked_scan(shift, jnp.zeros_like(window), window, xs, mask, reset)
    before = window.shape[-2]
    all_steps = jnp.concatenate([jnp.moveaxis(window, -2, 0), xs])
    seen = jnp.stack([all_steps[k : k + len(xs)] for k in range(before + 1)], axis=-2)
    return jnp.moveaxis(all_steps[len(xs) :], 0, -2), seen
