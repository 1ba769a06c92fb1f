"""Encoders: what reads a whole sequence and may look right, unlike a language model.

    unidirectional    y_t = f_t                    f = the cell from left to right
    bidirectional     y_t = [f_t, b_t]             b = another cell from right to left (Schuster & Paliwal 1997)
    stacked           ys = encode_L(... encode_1(xs))

An encoder is a NamedTuple of pure functions. Masked steps, wherever they stand, are not read at all: outputs there are
zeros, no gradient comes from them, and a row that is masked throughout is zeros. Pooling makes one vector of a
sequence under the same mask: the last step, the mean or the largest value of every feature.

Shapes: xs [T, *B, E], mask [T, *B] (False is padding), ys [T, *B, H], pooled [*B, H].
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell, InitFn
from lm_jax.errors import UserError
from lm_jax.types import Key, Mask, Params


__all__ = [
    "POOLING",
    "BidirectionalParams",
    "Encoder",
    "bidirectional",
    "pool_last",
    "pool_max",
    "pool_mean",
    "stacked_encoder",
    "unidirectional",
]


class EncodeFn(Protocol):
    """A sequence xs [T, *B, E] to as many outputs ys [T, *B, H]; a key brings the randomness of training."""

    def __call__(
        self, params: Params, xs: Float[Array, "T *B E"], *, mask: Mask | None = None, key: Key | None = None
    ) -> Float[Array, "T *B H"]: ...


class Encoder(NamedTuple):
    """An encoder: two pure functions and two sizes."""

    init: InitFn
    encode: EncodeFn
    input_size: int
    output_size: int


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
    _check_kind(Cell, "a direction of an encoder is a Cell (encoders on top of each other: stacked_encoder)", cell)

    def encode(params, xs, *, mask=None, key=None):
        check_mask(mask, xs)
        return _masked(mask, _outputs(cell, params, _masked(mask, xs), mask, key))

    return Encoder(cell.init, encode, cell.input_size, cell.output_size)


@cached
def bidirectional(forward_cell: Cell, backward_cell: Cell) -> Encoder:
    """Two cells with weights of their own, one from each end; outputs are the forward's, then the backward's.

    Raises UserError for cells whose inputs differ in size, and for what is no cell.
    """
    for cell in (forward_cell, backward_cell):
        _check_kind(Cell, "a direction of an encoder is a Cell (encoders on top of each other: stacked_encoder)", cell)
    if forward_cell.input_size != backward_cell.input_size:
        raise UserError(
            "the two cells of a bidirectional encoder read the same input and must have the same input_size, "
            f"got {forward_cell.input_size} and {backward_cell.input_size}"
        )

    def init(key):
        key_forward, key_backward = jax.random.split(key)
        return BidirectionalParams(forward_cell.init(key_forward), backward_cell.init(key_backward))

    def encode(params, xs, *, mask=None, key=None):
        check_mask(mask, xs)
        xs = _masked(mask, xs)
        key_forward, key_backward = (None, None) if key is None else jax.random.split(key)
        forward = _outputs(forward_cell, params.forward, xs, mask, key_forward)
        # Padding leaves the carry untouched, so that after a plain flip a row still begins with its last valid step:
        # it is reversed within its own length.
        flipped = None if mask is None else jnp.flip(mask, axis=0)
        backward = _outputs(backward_cell, params.backward, jnp.flip(xs, axis=0), flipped, key_backward)
        return _masked(mask, jnp.concatenate([forward, jnp.flip(backward, axis=0)], axis=-1))

    return Encoder(init, encode, forward_cell.input_size, forward_cell.output_size + backward_cell.output_size)


@cached
def stacked_encoder(encoders: Sequence[Encoder]) -> Encoder:
    """Encoders on top of each other, each reading the outputs of the one below; the parameters are a tuple of theirs.

    Raises UserError for no encoder, for what is none, and where the sizes of neighbours differ.
    """
    if not encoders:
        raise UserError("a stacked encoder needs at least one encoder, got none")
    for encoder in encoders:
        _check_kind(Encoder, "a stacked encoder is made of Encoders (of a cell: unidirectional)", encoder)
    for layer in range(1, len(encoders)):
        if encoders[layer].input_size != encoders[layer - 1].output_size:
            raise UserError(
                f"layer {layer} of a stacked encoder reads the layer below and must have input_size "
                f"{encoders[layer - 1].output_size}, got {encoders[layer].input_size}"
            )

    def init(key):
        keys = jax.random.split(key, len(encoders))
        return tuple(encoder.init(k) for encoder, k in zip(encoders, keys, strict=True))

    def encode(params, xs, *, mask=None, key=None):
        keys = [None] * len(encoders) if key is None else jax.random.split(key, len(encoders))
        for encoder, layer_params, layer_key in zip(encoders, params, keys, strict=True):
            xs = encoder.encode(layer_params, xs, mask=mask, key=layer_key)
        return xs

    return Encoder(init, encode, encoders[0].input_size, encoders[-1].output_size)


def pool_last(ys: Float[Array, "T *B H"], mask: Mask | None = None) -> Float[Array, "*B H"]:
    """Returns the output at a row's last valid step; zeros for a row without one.

    Of a bidirectional encoder the backward half has read one step there: the mean or the maximum tell more.
    """
    valid = _valid(ys, mask)
    left = jnp.flip(jnp.cumsum(jnp.flip(valid, axis=0), axis=0), axis=0)
    return jnp.sum(_masked(valid & (left == 1), ys), axis=0)


def pool_mean(ys: Float[Array, "T *B H"], mask: Mask | None = None) -> Float[Array, "*B H"]:
    """Returns the mean of a row's outputs over its valid steps; zeros for a row without one."""
    valid = _valid(ys, mask)
    return jnp.sum(_masked(valid, ys), axis=0) / jnp.maximum(jnp.sum(valid, axis=0), 1)[..., None]


def pool_max(ys: Float[Array, "T *B H"], mask: Mask | None = None) -> Float[Array, "*B H"]:
    """Returns the largest output of every feature over a row's valid steps; zeros for a row without one."""
    valid = _valid(ys, mask)
    largest = jnp.max(jnp.where(valid[..., None], ys, -jnp.inf), axis=0, initial=-jnp.inf)
    return jnp.where(jnp.any(valid, axis=0)[..., None], largest, 0.0)


POOLING: dict[str, Callable[..., Array]] = {"last": pool_last, "mean": pool_mean, "max": pool_max}


def check_mask(mask: Mask | None, xs: Float[Array, "T *B E"]) -> None:
    """Raises UserError unless the mask is boolean and has the time and batch axes of xs."""
    if mask is not None and (mask.shape != xs.shape[:-1] or mask.dtype != bool):
        raise UserError(
            f"a mask of inputs {xs.shape} must be bool {xs.shape[:-1]} (time, batch), got {mask.dtype} {mask.shape}"
        )


def _check_kind(kind, rule, given):
    if not isinstance(given, kind):
        raise UserError(f"{rule}, got {type(given).__name__}")


def _outputs(cell, params, xs, mask, key):
    return cell.unroll(params, cell.initial_carry(params, xs.shape[1:-1]), xs, mask=mask, key=key)[1]


def _masked(mask, values):
    """Zeros where the mask is False, whatever stood there: 0 times a NaN would not be 0, in gradients too."""
    return values if mask is None else jnp.where(mask[..., None], values, 0.0)


def _valid(ys, mask):
    check_mask(mask, ys)
    return jnp.ones(ys.shape[:-1], bool) if mask is None else jnp.asarray(mask)
