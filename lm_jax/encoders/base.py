"""The contract of an encoder, and its masks.

An encoder reads a whole sequence and may look right, unlike a language model. It is a NamedTuple of pure functions.
Masked steps, wherever they stand, are not read at all: outputs there are zeros, no gradient comes from them, and a row
that is masked throughout is zeros.

An encoder that is made of cells also has `encode_with`, the same computation with the recurrences left open: whoever
calls it says how a cell goes over a sequence. `encode` goes by the cell's own, fast, unroll; the laboratory by one that
adds perturbations to the states.

Shapes: xs [T, *B, E], mask [T, *B] (False is padding), ys [T, *B, H].
"""

from typing import NamedTuple, Protocol

import jax.numpy as jnp
from jaxtyping import Array, Float

from lm_jax.cells.base import Cell, InitFn
from lm_jax.errors import UserError
from lm_jax.types import Key, Mask, Params


class EncodeFn(Protocol):
    """A sequence xs [T, *B, E] to as many outputs ys [T, *B, H]; a key brings the randomness of training."""

    def __call__(
        self, params: Params, xs: Float[Array, "T *B E"], *, mask: Mask | None = None, key: Key | None = None
    ) -> Float[Array, "T *B H"]: ...


class Place(NamedTuple):
    """Where in an encoder a cell is: its layer, 0 the lowest (a stack in a stack has a number for each), and whether it
    goes from the last step to the first."""

    layer: tuple[int, ...] = ()
    reverse: bool = False


class UnrollAtFn(Protocol):
    """A cell from its initial carry over xs [T, *B, E], in the direction of its place: ys [T, *B, H] in order of time.

    Masked steps leave the carry untouched; outputs there are unspecified.
    """

    def __call__(
        self,
        cell: Cell,
        params: Params,
        xs: Float[Array, "T *B E"],
        mask: Mask | None,
        key: Key | None,
        place: Place,
        /,
    ) -> Float[Array, "T *B H"]: ...


class EncodeWithFn(Protocol):
    """`encode` by another unroll of its cells."""

    def __call__(
        self,
        unroll: UnrollAtFn,
        params: Params,
        xs: Float[Array, "T *B E"],
        *,
        mask: Mask | None = None,
        key: Key | None = None,
    ) -> Float[Array, "T *B H"]: ...


class Encoder(NamedTuple):
    """An encoder: pure functions and its sizes.

    forward_size: how many of the outputs, the first, read from left to right; the others read from right to left. None
    where that cannot be said. encode_with: None for an encoder that is not made of cells.
    """

    init: InitFn
    encode: EncodeFn
    input_size: int
    output_size: int
    forward_size: int | None = None
    encode_with: EncodeWithFn | None = None


def check_mask(mask: Mask | None, xs: Float[Array, "T *B E"]) -> None:
    """Raises UserError unless the mask is boolean and has the time and batch axes of xs."""
    if mask is not None and (mask.shape != xs.shape[:-1] or mask.dtype != bool):
        raise UserError(
            f"a mask of inputs {xs.shape} must be bool {xs.shape[:-1]} (time, batch), got {mask.dtype} {mask.shape}"
        )


def masked(mask: Mask | None, values: Float[Array, "T *B E"]) -> Float[Array, "T *B E"]:
    """Returns values with zeros where the mask is False, whatever stood there.

    0 times a NaN would not be 0, in gradients too.
    """
    return values if mask is None else jnp.where(mask[..., None], values, 0.0)


def check_kind(kind: type, rule: str, given: object) -> None:
    """Raises UserError unless an argument has the type that it must have.

    Args:
        kind: The type.
        rule: The first half of the message.
        given: The argument.

    Raises:
        UserError: For an argument of another type; the message ends with the type's name.
    """
    if not isinstance(given, kind):
        raise UserError(f"{rule}, got {type(given).__name__}")
