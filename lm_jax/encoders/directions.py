"""One cell from left to right, or two from both ends.

unidirectional    y_t = f_t                    f = the cell from left to right
bidirectional     y_t = [f_t, b_t]             b = another cell from right to left (Schuster & Paliwal 1997)
"""

import functools

import jax
import jax.numpy as jnp
from flax import struct

from lm_jax.caching import cached
from lm_jax.cells.base import Cell
from lm_jax.encoders.base import Encoder, Place, check_kind, check_mask, masked
from lm_jax.errors import UserError
from lm_jax.types import Params


@struct.dataclass
class BidirectionalParams:
    """The parameters of the cell that reads from left to right, and of the one from right to left."""

    forward: Params
    backward: Params


@cached
def unidirectional(cell: Cell) -> Encoder:
    """Returns a cell from left to right, from its initial carry; the parameters are the cell's.

    Raises UserError for what is no cell.
    """
    check_kind(Cell, "a direction of an encoder is a Cell (encoders on top of each other: stacked_encoder)", cell)

    def encode_with(unroll, params, xs, *, mask=None, key=None):
        check_mask(mask, xs)
        return masked(mask, unroll(cell, params, masked(mask, xs), mask, key, Place()))

    encode = functools.partial(encode_with, unroll_at)
    return Encoder(cell.init, encode, cell.input_size, cell.output_size, cell.output_size, encode_with)


@cached
def bidirectional(forward_cell: Cell, backward_cell: Cell) -> Encoder:
    """Two cells with weights of their own, one from each end; outputs are the forward's, then the backward's.

    Raises UserError for cells whose inputs differ in size, and for what is no cell.
    """
    for cell in (forward_cell, backward_cell):
        check_kind(Cell, "a direction of an encoder is a Cell (encoders on top of each other: stacked_encoder)", cell)
    if forward_cell.input_size != backward_cell.input_size:
        raise UserError(
            "the two cells of a bidirectional encoder read the same input and must have the same input_size, "
            f"got {forward_cell.input_size} and {backward_cell.input_size}"
        )

    def init(key):
        key_forward, key_backward = jax.random.split(key)
        return BidirectionalParams(forward_cell.init(key_forward), backward_cell.init(key_backward))

    def encode_with(unroll, params, xs, *, mask=None, key=None):
        check_mask(mask, xs)
        xs = masked(mask, xs)
        key_forward, key_backward = (None, None) if key is None else jax.random.split(key)
        forward = unroll(forward_cell, params.forward, xs, mask, key_forward, Place())
        backward = unroll(backward_cell, params.backward, xs, mask, key_backward, Place(reverse=True))
        return masked(mask, jnp.concatenate([forward, backward], axis=-1))

    output_size = forward_cell.output_size + backward_cell.output_size
    encode, forward_size = functools.partial(encode_with, unroll_at), forward_cell.output_size
    return Encoder(init, encode, forward_cell.input_size, output_size, forward_size, encode_with)


def unroll_at(cell, params, xs, mask, key, place):
    """Goes over a sequence by the cell's own unroll; an `UnrollAtFn`.

    Args:
        cell: The cell of this layer and direction.
        params: Its parameters.
        xs: Inputs, [T, *B, E].
        mask: Bool [T, *B], False where a step is padding; None for none.
        key: The key of dropout; None for none.
        place: The layer, and whether it reads from the right.

    Returns:
        The outputs [T, *B, H], in the order of the inputs.
    """
    if place.reverse:
        # Padding leaves the carry untouched, so that after a plain flip a row still begins with its last valid step:
        # it is reversed within its own length.
        xs, mask = jnp.flip(xs, axis=0), None if mask is None else jnp.flip(mask, axis=0)
    ys = cell.unroll(params, cell.initial_carry(params, xs.shape[1:-1]), xs, mask=mask, key=key)[1]
    return jnp.flip(ys, axis=0) if place.reverse else ys
