"""The choice of an engine: how the `unroll` of a cell is computed on this machine."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from jaxtyping import Array

from lm_jax.cells.base import Cell, UnrollFn
from lm_jax.cells.engines.fused import FusedParts, fused_scan
from lm_jax.cells.engines.measured import is_faster
from lm_jax.cells.varying import same_axes, wide
from lm_jax.errors import one_of
from lm_jax.types import Params


def engine(recurrence: str) -> str:
    """Returns the engine that a recurrence means on this machine:
    for "auto" the one that was measured to be faster here (measured.py)."""
    if recurrence != "auto":
        return recurrence
    return "fused" if is_faster("fused") else "scan"


def with_recurrence(
    recurrence: str,
    cell: Cell,
    project: Callable[[Params, Array], Array],
    weights: Callable[[Params], tuple],
    parts: FusedParts,
    others: Mapping[str, Callable[[], UnrollFn]] = MappingProxyType({}),
) -> Cell:
    """Returns a plain cell with the unroll of another engine. `step` and `observe` stay as they are.

    Args:
        recurrence: "scan", the unroll that the cell has; "fused"; or "auto": `fused` on the CPU, where it was measured
            to be faster for every cell, and `scan` elsewhere.
        cell: the plain cell.
        project: (params, xs [T, *B, E]) -> z [T, *B, kH], the inputs' share of the pre-activations that the parts
            read.
        weights: params -> the weights that the parts read, a tuple, uncast.
        parts: the recurrence and its derivatives, for the fused engine.
        others: by name, functions that make the unroll of an engine that only this cell has.

    Returns:
        The cell.

    Raises:
        UserError: for another recurrence; a function that makes an engine may raise its own.
    """

    def fused(params, carry, xs, *, mask=None, reset=None, key=None):
        del key
        params, carry, xs, mask, reset = same_axes(params, wide(carry), xs, mask, reset)
        return fused_scan(parts, weights(params), carry, project(params, xs), mask, reset)

    def auto(*args, **switches):
        return {"fused": fused, "scan": cell.unroll}[engine("auto")](*args, **switches)

    engines = {"auto": lambda: auto, "scan": lambda: cell.unroll, "fused": lambda: fused, **others}
    return cell._replace(unroll=one_of("recurrence", recurrence, engines)())
