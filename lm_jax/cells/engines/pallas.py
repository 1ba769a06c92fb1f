"""The `pallas` engine: weights that stay on a TPU's chip for all steps of a sequence. It HAS NOT RUN ON A TPU yet.

A loop of XLA reads W_h from HBM at every step. Here one kernel runs all steps (pallas_kernels.py): W_h and the carries
are in VMEM from the first step to the last, the projected inputs z = x W_x + b, one product outside, are streamed in
and the outputs out. The backward kernel keeps d W_h in VMEM, too. What a step of the forward kernel began from, and its
gates, are streamed out for the backward one.

Operands of products have the type `compute_dtype`; carries, sums and all that is streamed are float32. Masks and
resets are those of a cell (lm_jax/cells/base.py); the initial carry is zeros. H is padded to a multiple of 128, rows to
one of 8 (16 for bfloat16), by zeros, outside of the kernel: a copy of z where sizes are no such multiples. What is
padded stays bounded and has no gradient.

On a CPU the kernels are tested in Pallas's interpret modes and lowered for a TPU; `auto` never chooses them. Only
reverse mode, and only once; one device, no mesh.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from lm_jax.cells.base import UnrollFn
from lm_jax.cells.varying import wide
from lm_jax.errors import UserError
from lm_jax.layers import cast, on_a_mesh
from lm_jax.types import Params


LANES = 128
ROWS = 128  # of a tile, and of all steps of a block together: as many as a TPU's matrix unit has
VMEM_BUDGET = 48 * 2**20  # 3/4 of the smallest VMEM since the TPU v5e, 64 MiB; the rest is for the compiler
_MODES: list[Any] = []


class KernelParts(NamedTuple):
    """One recurrence, forward and backward, on blocks of VMEM: k gates, H units, carries of some leaves, h the first.

    gates:        k
    saved:        how many residuals [rows, H] a step has; where it has none, the backward step is given its output
    weights:      how many arrays the steps read: w_h, and further ones [1, H]
    step:         (weights, s, z) -> (new, residuals): tuples of [rows, H], z [rows, kH]; weights are references
    step_back:    (w_h transposed, s, residuals, d new) -> (d s, d z)
    products:     (rows, s_h, residuals, d z) -> [(first column, left, right)]: d W_h from that column on is the sum of
                  left^T right; arguments but the first are references, of which rows(reference) gives [rows, width]
    others:       (residuals, d z), of all steps -> the gradients of the further weights
    """

    gates: int
    saved: int
    weights: int
    step: Callable[[Sequence, tuple, Array], tuple[tuple, tuple]]
    step_back: Callable[[Any, tuple, tuple, tuple], tuple[tuple, Array]]
    products: Callable[[Callable, Any, Sequence, Any], list]
    others: Callable[[tuple, Array], tuple]


class Run(NamedTuple):
    """How one call is cut. grid: (tiles of rows, blocks of steps); a block has `steps` of `rows`, H padded is `hidden`.

    operands: the type of the operands of products. vmem: bytes that are needed. interpret: as `pallas_call` takes it.
    """

    parts: KernelParts
    grid: tuple[int, int]
    steps: int
    rows: int
    hidden: int
    operands: str | None
    vmem: int
    interpret: Any


@contextlib.contextmanager
def on_any_machine(interpret: Any) -> Iterator[None]:
    """Lets cells be made with this engine where there is no TPU, for tests: cells made inside keep the mode.

    Args:
        interpret: True or a `pltpu.InterpretParams` for an interpret mode; False for the kernels themselves, which can
            be lowered for a TPU (`jax.export`) but not run.
    """
    _MODES.append(interpret)
    try:
        yield
    finally:
        _MODES.pop()


def vmem_bytes(hidden_size: int, compute_dtype: str | None, gates: int, states: int, saved: int) -> int:
    """Computes the bytes of VMEM that the backward kernel, the larger one, holds at once.

    With P = H rounded up to 128 lanes, k gates, n leaves of the carry, r residuals and s bytes of an operand:

        P kP s                       W_h transposed
        P kP 4                       d W_h
        2 * 128 P 4 (1 + n + r + k)  streams: d y, carries, residuals, d z; 128 rows of each, twice
        2 * 128 P 4 (2 n)            adjoints of the carry, in and out
        2 * 128 * 128 4              flags

    Args:
        hidden_size: H.
        compute_dtype: The type of the operands; None for float32.
        gates: k.
        states: n.
        saved: r.
    """
    padded, itemsize = _up(hidden_size, LANES), jnp.dtype(compute_dtype or jnp.float32).itemsize
    streams = 2 * ROWS * 4 * (padded * (1 + saved + gates + 3 * states) + LANES)
    return padded * gates * padded * (itemsize + 4) + streams


def pallas_unroll(
    parts: KernelParts,
    cell: Any,
    project: Callable[[Params, Array], Array],
    weights: Callable[[Params], tuple],
    compute_dtype: str | None,
    states: int = 1,
) -> UnrollFn:
    """Makes the unroll of a cell on this engine.

    Args:
        parts: The equations.
        cell: The plain cell.
        project: (params, xs [T, *B, E]) -> z [T, *B, kH], with the bias.
        weights: params -> (w_h [H, kH], further weights [H]), uncast.
        compute_dtype: The type of the operands of products; None for that of the parameters.
        states: The leaves of the carry, [*B, H] each.

    Raises:
        UserError: Without a TPU, and where W_h does not fit into VMEM.
    """
    interpret = _mode()
    needed = vmem_bytes(cell.output_size, compute_dtype, parts.gates, states, max(1, parts.saved))
    if needed > VMEM_BUDGET:
        raise UserError(
            f'recurrence "pallas" keeps weights in at most {VMEM_BUDGET >> 20} MiB of VMEM, got hidden_size '
            f"{cell.output_size}, which needs {needed >> 20}; choose a smaller one or recurrence scan",
            ["hidden_size", "recurrence"],
        )

    def unroll(params, carry, xs, *, mask=None, reset=None, key=None):
        if on_a_mesh():
            raise UserError('recurrence "pallas" runs on one device, got several; choose scan', ["recurrence"])
        if 0 in xs.shape[:-1]:
            return cell.unroll(params, carry, xs, mask=mask, reset=reset, key=key)
        run = _cut(parts, len(xs), math.prod(xs.shape[1:-1]), cell.output_size, compute_dtype, (needed, interpret))
        return _unpadded(run, weights(params), wide(carry), project(params, xs), mask, reset)

    return unroll


def _mode():
    if _MODES:
        return _MODES[-1]
    device = jax.devices()[0]
    if device.platform != "tpu":
        raise UserError(f'recurrence "pallas" needs a TPU, got {device.device_kind}; choose scan', ["recurrence"])
    return False


def _up(size, multiple):
    return -(-size // multiple) * multiple


def _cut(parts, steps, rows, hidden, compute_dtype, rest):
    """The Run of a call: tiles of at most 128 rows; blocks of as many steps as have 128 rows together."""
    tiles = -(-rows // ROWS)
    sublanes = 16 if jnp.dtype(compute_dtype or jnp.float32).itemsize == 2 else 8
    tile = _up(-(-rows // tiles), sublanes)
    most = min(steps, max(1, ROWS // tile))
    block = max(n for n in range(1, most + 1) if steps % n == 0)
    if 2 * block < most:  # rather some steps of padding than many small blocks
        block = most
    return Run(parts, (tiles, -(-steps // block)), block, tile, _up(hidden, LANES), compute_dtype, *rest)


def _unpadded(run, weights, carry, z, mask, reset):
    """Pads what a call is given, runs it, and takes the padding away."""
    gates, leaves = run.parts.gates, jax.tree.leaves(carry)
    (steps, *batch), hidden = z.shape[:-1], leaves[0].shape[-1]
    count = math.prod(batch)
    rows, all_steps = run.grid[0] * run.rows, run.grid[1] * run.steps
    padded = [_pad(leaf.reshape(count, hidden), (rows, run.hidden)) for leaf in leaves]
    z = _pad(z.reshape(steps, count, gates, hidden), (all_steps, rows, gates, run.hidden))
    w_h = _pad(weights[0].reshape(hidden, gates, hidden), (run.hidden, gates, run.hidden))
    others = [_pad(w[None], (1, run.hidden)) for w in weights[1:]]
    flags = _flags(mask, reset, (steps, count), (all_steps, rows))
    result: Any = _kernels(
        run, (w_h.reshape(run.hidden, -1), *others), tuple(padded), z.reshape(all_steps, rows, -1), flags
    )
    last, ys = result
    last = [leaf[:count, :hidden].reshape(*batch, hidden) for leaf in last]
    return jax.tree.unflatten(jax.tree.structure(carry), last), ys[:steps, :count, :hidden].reshape(
        steps, *batch, hidden
    )


def _pad(array, shape):
    return jnp.pad(array, [(0, after - before) for before, after in zip(array.shape, shape, strict=True)])


def _flags(mask, reset, shape, padded):
    """Bits of each step [T, B, 1], steps of padding kept out; None where nothing needs any."""
    if mask is None and reset is None and shape[0] == padded[0]:
        return None
    keep = jnp.ones(shape, jnp.int32) if mask is None else mask.reshape(shape).astype(jnp.int32)
    restart = 0 if reset is None else reset.reshape(shape).astype(jnp.int32)
    return _pad(keep + 2 * restart, padded)[..., None]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernels(run, weights, carry, z, flags):
    from lm_jax.cells.engines.pallas_kernels import forward

    last, ys, _, _ = forward(run, _cast(run, weights), carry, z, flags, saves=False)
    return last, ys


def _forward(run, weights, carry, z, flags):
    from lm_jax.cells.engines.pallas_kernels import forward

    last, ys, starts, residuals = forward(run, _cast(run, weights), carry, z, flags, saves=True)
    return (last, ys), (weights, flags, starts, residuals or (ys,))


def _backward(run, saved, cotangents):
    from lm_jax.cells.engines.pallas_kernels import backward

    (weights, flags, starts, residuals), (d_last, d_ys) = saved, cotangents
    w_back = _cast(run, weights)[0].T
    d_carry, d_z, d_w = backward(run, w_back, d_last, d_ys, flags, (starts, residuals))
    d_weights = (jnp.sum(d_w, axis=0), *run.parts.others(residuals, d_z))
    d_weights = tuple(d.astype(w.dtype) for d, w in zip(d_weights, weights, strict=True))
    return d_weights, d_carry, d_z, None


_kernels.defvjp(_forward, _backward)


def _cast(run, weights):
    w_h, *others = weights
    return cast(w_h, run.operands), *others
