"""The choice of an engine: how the `unroll` of a cell is computed on this machine."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import jax
from jaxtyping import Array

from lm_jax.cells.base import Cell, UnrollFn
from lm_jax.cells.engines.fused import FusedParts, fused_scan
from lm_jax.cells.engines.measured import MEASURED
from lm_jax.cells.engines.measurement import Measured
from lm_jax.cells.varying import same_axes, wide
from lm_jax.errors import one_of
from lm_jax.layers import on_a_mesh
from lm_jax.types import Params


Shape = tuple[int, int, int]  # rows B, steps T, units H


def engine(recurrence: str, cell: str = "", shape: Shape | None = None, many_devices: bool = False) -> str:
    """Returns the engine that a recurrence means on this machine; for "auto" the one that is best here.

    On several devices that is `fused`: there its gradients of weights are added up between devices once a step of
    training, those of `scan` once a step in time (tests/runs/eight_devices.py counts). On one device it is the engine
    that was measured to be fastest at the nearest shape (measured.py), and `scan` on a device that was not measured.

    Args:
        recurrence: the name of an engine, or "auto".
        cell: the kind of the cell; of one that was not measured, what was best for most others counts.
        shape: of its inputs and states; without one, what was best at most shapes counts.
        many_devices: whether it runs on more than one.
    """
    if recurrence != "auto":
        return recurrence
    return "fused" if many_devices else fastest(MEASURED.get(device_name(), ()), cell, shape)


def device_name() -> str:
    """Returns the kind of device that JAX computes on, such as "cpu" or "NVIDIA H200"."""
    backend = jax.default_backend()
    return backend if backend == "cpu" else jax.devices(backend)[0].device_kind


def fastest(rows: Sequence[Measured], cell: str, shape: Shape | None) -> str:
    """Returns the engine of the measurement whose shape is nearest, by the ratios of its sizes.

    Args:
        rows: the measurements of a device.
        cell: the kind of the cell.
        shape: (B, T, H); None for the engine of most rows.
    """
    known = [row for row in rows if row.cell == cell]
    if shape is None or not known:
        counts = Counter(row.engine for row in known or rows)
        return counts.most_common(1)[0][0] if counts else "scan"

    def distance(row):
        pairs = zip((row.batch, row.steps, row.units), shape, strict=True)
        return sum(abs(math.log(measured / max(1, asked))) for measured, asked in pairs)

    return min(known, key=distance).engine


def with_recurrence(
    recurrence: str,
    cell: Cell,
    project: Callable[[Params, Array], Array],
    weights: Callable[[Params], tuple],
    parts: FusedParts,
    others: Mapping[str, Callable[[], UnrollFn]] = MappingProxyType({}),
    kind: str = "",
) -> Cell:
    """Returns a plain cell with the unroll of another engine. `step` and `observe` stay as they are.

    Args:
        recurrence: "scan", the unroll that the cell has; "fused"; or "auto": what `engine` says when it is traced.
        cell: the plain cell.
        project: (params, xs [T, *B, E]) -> z [T, *B, kH], the inputs' share of the pre-activations that the parts
            read.
        weights: params -> the weights that the parts read, a tuple, uncast.
        parts: the recurrence and its derivatives, for the fused engine.
        others: by name, functions that make the unroll of an engine that only this cell has.
        kind: its name in the measurements that "auto" reads.

    Returns:
        The cell.

    Raises:
        UserError: for another recurrence; a function that makes an engine may raise its own.
    """

    def fused(params, carry, xs, *, mask=None, reset=None, key=None):
        del key
        params, carry, xs, mask, reset = same_axes(params, wide(carry), xs, mask, reset)
        return fused_scan(parts, weights(params), carry, project(params, xs), mask, reset)

    def auto(params, carry, xs, **switches):
        shape = (math.prod(xs.shape[1:-1]), len(xs), cell.output_size)
        unroll = engines[engine("auto", kind, shape, on_a_mesh())]()
        return unroll(params, carry, xs, **switches)

    engines = {"auto": lambda: auto, "scan": lambda: cell.unroll, "fused": lambda: fused, **others}
    return cell._replace(unroll=one_of("recurrence", recurrence, engines)())
