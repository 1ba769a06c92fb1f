"""Cells whose state is a matrix, and whose steps need nothing but the input: they can be taken in chunks."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from lm_jax.cells.base import Cell, InitFn, InitialCarryFn, Observed, masked_scan
from lm_jax.cells.engines.chunkwise import Chunk, chunkwise
from lm_jax.cells.engines.from_length import is_faster
from lm_jax.cells.varying import same_axes, wide
from lm_jax.errors import one_of
from lm_jax.types import Carry, Params


def matrix_memory_cell(
    init: InitFn,
    initial_carry: InitialCarryFn,
    read: Callable[[Params, Array], Any],
    recur: Callable[[Carry, Any], tuple[Carry, Array]],
    of_chunk: Callable[[Carry, Chunk], tuple[Carry, Array]],
    finish: Callable[[Params, Array, Array], Array],
    input_size: int,
    output_size: int,
    *,
    recurrence: str = "auto",
    observe_step: Callable[[Params, Array], Observed] | None = None,
) -> Cell:
    """Makes a cell with a matrix for its memory.

    Args:
        init: key -> params.
        initial_carry: (params, batch_shape) -> the carry before the first step, zeros.
        read: (params, xs [..., E]) -> what the steps need, for any leading axes.
        recur: (carry, what one step needs) -> (carry, what was read out [*B, heads, D]).
        of_chunk: The same for a chunk of steps.
        finish: (params, xs, what was read out) -> ys [..., H], for any leading axes.
        input_size: E.
        output_size: H.
        recurrence: "scan", a loop over steps; "chunkwise", over chunks; "auto", by device and
            length (engines/from_length.py).
        observe_step: (params, x) -> the inside of a step.

    Returns:
        The cell.

    Raises:
        UserError: For an unknown recurrence.
    """

    def step(params, carry, x):
        carry, out = recur(carry, read(params, x))
        return carry, finish(params, x, out)

    def scan(params, carry, xs, *, mask=None, reset=None, key=None):
        del key
        initial = None if reset is None else initial_carry(params, xs.shape[1:-1])
        params, initial, carry, xs, mask, reset = same_axes(params, initial, wide(carry), xs, mask, reset)
        carry, out = masked_scan(recur, initial, carry, read(params, xs), mask, reset)
        return carry, finish(params, xs, out)

    def in_chunks(params, carry, xs, *, mask=None, reset=None, key=None):
        del key
        params, carry, xs, mask, reset = same_axes(params, wide(carry), xs, mask, reset)
        carry, out = chunkwise(of_chunk, carry, read(params, xs), xs.shape[1:-1], mask, reset)
        return carry, finish(params, xs, out)

    def auto(params, carry, xs, **switches):
        return (in_chunks if is_faster("chunkwise", len(xs)) else scan)(params, carry, xs, **switches)

    engines = {"auto": auto, "scan": scan, "chunkwise": in_chunks}
    cell = Cell(init, initial_carry, step, one_of("recurrence", recurrence, engines), input_size, output_size)
    if observe_step is None:
        return cell
    return cell._replace(observe=lambda params, carry, x: (observe_step(params, x),))


def split_heads(a: Array, heads: int) -> Array:
    """[..., H] as [..., heads, H / heads]."""
    return a.reshape(*a.shape[:-1], heads, -1)


def pairs(left: Array, right: Array) -> Array:
    """Products of steps with steps: left and right [L, *B, heads, D] to [L, L, *B, heads]."""
    return jnp.einsum("t...d,s...d->ts...", left, right)
