"""The residual block around a cell: normalisation, the cell, and a gated feed-forward network.

    u_t = x_t + cell(layer_norm(x_t)) W_o
    y_t = u_t + (silu(layer_norm(u_t) W_g) * (layer_norm(u_t) W_u)) W_d

Recurrences that are linear in their state are meant to be used so: what is not linear lies between the layers (De et
al. 2024, arXiv:2402.19427, section 2; gated units: Shazeer 2020, arXiv:2002.05202). The block is a cell itself, whose
carry is that of the cell inside.
Shapes: x, u, y [*B, H], w_o [H', H] from the cell's outputs, w_g and w_u [H, M], w_d [M, H].
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell
from lm_jax.cells.varying import state_dtype
from lm_jax.errors import check_sizes
from lm_jax.initializers import lecun_normal
from lm_jax.layers import cast, layer_norm, product
from lm_jax.types import Params


@struct.dataclass
class NormParams:
    """Scale and offset of a layer normalisation, [H]."""

    scale: Float[Array, "H"]
    offset: Float[Array, "H"]


@struct.dataclass
class BlockParams:
    """The cell, w_o [H', H] behind it, the feed-forward network, and both normalisations."""

    cell: Params
    w_o: Float[Array, "H2 H"]
    w_gate: Float[Array, "H M"]
    w_up: Float[Array, "H M"]
    w_down: Float[Array, "M H"]
    norm_cell: NormParams
    norm_network: NormParams


@cached
def block(cell: Cell, *, expansion: int = 3, compute_dtype: str | None = None) -> Cell:
    """Makes the residual block around a cell.

    Args:
        cell: Any cell whose output can be brought to its input's size.
        expansion: M as a multiple of H.
        compute_dtype: The type of the operands of the block's own products; None keeps the parameters' own.

    Returns:
        A cell of equal input and output size.

    Raises:
        UserError: For an expansion below 1.
    """
    check_sizes(expansion=expansion)
    size = cell.input_size

    def init(key):
        key_cell, key_o, key_g, key_u, key_d = jax.random.split(key, 5)
        norm = NormParams(jnp.ones((size,), jnp.float32), jnp.zeros((size,), jnp.float32))
        wide = expansion * size
        shapes = ((cell.output_size, size), (size, wide), (size, wide), (wide, size))
        keys = (key_o, key_g, key_u, key_d)
        w_o, w_gate, w_up, w_down = (lecun_normal(k, shape, jnp.float32) for k, shape in zip(keys, shapes, strict=True))
        return BlockParams(
            cell=cell.init(key_cell),
            w_o=w_o,
            w_gate=w_gate,
            w_up=w_up,
            w_down=w_down,
            norm_cell=norm,
            norm_network=jax.tree.map(jnp.array, norm),
        )

    def initial_carry(params, batch_shape):
        return cell.initial_carry(params.cell, batch_shape)

    def inside(params, xs):
        return layer_norm(xs.astype(state_dtype(xs)), params.norm_cell.scale, params.norm_cell.offset)

    def beside(params, xs, ys):
        us = xs + product(ys, cast(params.w_o, compute_dtype))
        normal = layer_norm(us, params.norm_network.scale, params.norm_network.offset)
        gate, up = (product(normal, cast(w, compute_dtype)) for w in (params.w_gate, params.w_up))
        return us + product(jax.nn.silu(gate) * up, cast(params.w_down, compute_dtype))

    def step(params, carry, x):
        carry, y = cell.step(params.cell, carry, inside(params, x))
        return carry, beside(params, x, y)

    def unroll(params, carry, xs, *, mask=None, reset=None, key=None):
        carry, ys = cell.unroll(params.cell, carry, inside(params, xs), mask=mask, reset=reset, key=key)
        return carry, beside(params, xs, ys)

    made = Cell(init, initial_carry, step, unroll, size, size)
    observe = cell.observe
    if observe is None:
        return made
    return made._replace(observe=lambda params, carry, x: observe(params.cell, carry, inside(params, x)))
