"""The two TPU kernels of the `pallas` engine: all steps of a recurrence forward, and its derivative backward.

The grid is (tiles of rows, blocks of steps): tiles may run side by side, blocks run in order. A block holds a few steps
of one tile; within it a loop does one step after the other. W_h and the carries have the same place in VMEM for all
blocks of a tile; Pallas brings the next block of z, or of what the backward pass reads, while this one is worked on.
The carries live in the arrays that are returned as the last carry, d W_h in the one that is returned as its gradient:
an output whose block stays the same is written to HBM once, when the tile is done.

Arrays here are padded: rows to whole tiles, steps to whole blocks, H to lanes. z [T, B, kH], flags [T, B, 1].
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array


KEEP, RESTART = 1, 2  # bits of a flag: the step counts; the carry is zeros before it


def forward(run: Any, weights: tuple, carry: tuple, z: Array, flags: Array | None, saves: bool) -> tuple:
    """Runs all steps.

    Args:
        run: The `Run` of the engine.
        weights: (w_h [H, kH], what else the steps read [1, H]), cast.
        carry: The leaves of the carry before the first step, [B, H].
        z: The projected inputs, [T, B, kH].
        flags: KEEP and RESTART of each step and row, int32 [T, B, 1]; None where all steps count and none restarts.
        saves: Whether what the backward pass reads is returned, too.

    Returns:
        (leaves of the last carry, ys [T, B, H], the carries that steps began from, residuals of the steps): the last
        two are tuples of arrays [T, B, H], empty without `saves`.
    """
    states, saved = len(carry), run.parts.saved if saves else 0
    wide, narrow, tile = _specs(run, lambda t: t)
    streams = 1 + (states if saves else 0) + saved
    outputs = pl.pallas_call(
        functools.partial(_forward_kernel, run, states, flags is not None, saves),
        grid=run.grid,
        in_specs=[*map(_resident, weights), *[tile] * states, wide, *([] if flags is None else [_flags(run)])],
        out_specs=[tile] * states + [narrow] * streams,
        out_shape=[*map(_like, carry)] + [_stream(z, run.hidden)] * streams,
        **_settings(run),
    )(*weights, *carry, z, *([] if flags is None else [flags]))
    last, (ys,), starts, residuals = _split(outputs, states, 1, states if saves else 0, saved)
    return tuple(last), ys, tuple(starts), tuple(residuals)


def backward(run: Any, w_back: Array, d_carry: tuple, d_ys: Array, flags: Array | None, saved: tuple) -> tuple:
    """Runs the derivatives of all steps, the last first.

    Args:
        run: The `Run` of the engine.
        w_back: W_h transposed, [kH, H], cast.
        d_carry: The adjoints of the last carry, leaves [B, H].
        d_ys: Those of the outputs, [T, B, H].
        flags: As `forward` has them.
        saved: (the carries that steps began from, residuals), as `forward` returns them.

    Returns:
        (adjoints of the first carry, d z [T, B, kH], d W_h [tiles, H, kH] to be summed over tiles).
    """
    (starts, residuals), states = saved, len(d_carry)
    wide, narrow, tile = _specs(run, lambda t: run.grid[1] - 1 - t)
    columns, sums = w_back.shape[0], d_carry[0].dtype
    streams = (d_ys, *starts, *residuals)
    outputs = pl.pallas_call(
        functools.partial(_backward_kernel, run, states, flags is not None),
        grid=run.grid,
        in_specs=[
            _resident(w_back),
            *[tile] * states,
            *[narrow] * len(streams),
            *([] if flags is None else [_flags(run, reverse=True)]),
        ],
        out_specs=[
            *[tile] * states,
            wide,
            pl.BlockSpec((None, run.hidden, columns), lambda b, t: (b, 0, 0), pipeline_mode=pl.Buffered(1)),
        ],
        out_shape=[
            *map(_like, d_carry),
            _stream(d_ys, columns),
            jax.ShapeDtypeStruct((run.grid[0], run.hidden, columns), sums),
        ],
        **_settings(run),
    )(w_back, *d_carry, *streams, *([] if flags is None else [flags]))
    first, (d_z, d_w) = _split(outputs, states, 2)
    return tuple(first), d_z, d_w


def _forward_kernel(run, states, flagged, saves, *refs):
    weights, carry, (z,), flags, last, (ys,), starts, residuals = _split(
        refs, run.parts.weights, states, 1, int(flagged), states, 1, states if saves else 0, run.parts.saved * saves
    )

    @pl.when(pl.program_id(1) == 0)
    def _():
        for ref, initial in zip(last, carry, strict=True):
            ref[...] = initial[...]

    def step(k, _):
        old = tuple(ref[...] for ref in last)
        keep, restart = _read(flags, k, old[0].shape)
        start = tuple(_choose(restart, jnp.zeros_like(leaf), leaf) for leaf in old)
        new, gates = run.parts.step(weights, start, z[k])
        ys[k] = new[0]
        for ref, value in zip([*starts, *residuals], [*start, *gates] if saves else [], strict=True):
            ref[k] = value
        for ref, after, before in zip(last, new, old, strict=True):
            ref[...] = after if keep is None else _choose(keep, after, before)
        return _

    jax.lax.fori_loop(0, run.steps, step, 0)


def _backward_kernel(run, states, flagged, *refs):
    (w_back,), d_last, (d_ys,), starts, residuals, flags, d_carry, (d_z, d_w) = _split(
        refs, 1, states, 1, states, run.parts.saved or 1, int(flagged), states, 2
    )

    @pl.when(pl.program_id(1) == 0)
    def _():
        for ref, initial in zip(d_carry, d_last, strict=True):
            ref[...] = initial[...]
        d_w[...] = jnp.zeros_like(d_w)

    def step(i, _):
        k = run.steps - 1 - i
        d_after = tuple(ref[...] for ref in d_carry)
        nothing = jnp.zeros_like(d_after[0])
        keep, restart = _read(flags, k, nothing.shape)
        d_h, *d_others = d_after if keep is None else (_choose(keep, leaf, nothing) for leaf in d_after)
        start, gates = (tuple(ref[k] for ref in group) for group in (starts, residuals))
        d_start, d_z[k] = run.parts.step_back(w_back, start, gates, (d_h + d_ys[k], *d_others))
        for ref, through, around in zip(d_carry, d_start, d_after, strict=True):
            through = _choose(restart, nothing, through)
            ref[...] = through if keep is None else through + _choose(keep, nothing, around)
        return _

    jax.lax.fori_loop(0, run.steps, step, 0)
    for first, left, right in run.parts.products(_rows, starts[0], residuals, d_z):
        for column in range(0, right.shape[-1], run.hidden):  # a gate at a time: what is added to is as large as W_h
            block = slice(first + column, first + column + run.hidden)
            d_w[:, block] += _over_rows(left, right[:, column : column + run.hidden], w_back.dtype, d_w.dtype)


def _rows(ref):
    """The steps of a block, [K, rows, W], as rows [K * rows, W]."""
    return ref[...].reshape(-1, ref.shape[-1])


def _over_rows(left, right, operands, sums):
    """left^T right."""
    rows = (((0,), (0,)), ((), ()))
    return jax.lax.dot_general(left.astype(operands), right.astype(operands), rows, preferred_element_type=sums)


def _read(flags, k, shape):
    """(keep, restart) of a step as conditions of the shape of a state; None where there are no flags."""
    if not flags:
        return None, None
    bits = jnp.broadcast_to(flags[0][k], shape)  # as numbers: conditions are not broadcast along lanes
    return (bits & KEEP) != 0, (bits & RESTART) != 0


def _choose(condition, on_true, on_false):
    return on_false if condition is None else jnp.where(condition, on_true, on_false)


def _split(items, *sizes):
    """Consecutive parts of a sequence, as many and as long as the sizes say, which use it up."""
    parts, begin = [], 0
    for size in sizes:
        parts.append(items[begin : begin + size])
        begin += size
    assert begin == len(items)
    return parts


def _specs(run, order):
    """(blocks of z, of anything of the size of a state over time, of a carry); `order` says which block is read."""
    wide = pl.BlockSpec((run.steps, run.rows, run.parts.gates * run.hidden), lambda b, t: (order(t), b, 0))
    narrow = pl.BlockSpec((run.steps, run.rows, run.hidden), lambda b, t: (order(t), b, 0))
    return wide, narrow, pl.BlockSpec((run.rows, run.hidden), lambda b, t: (b, 0))


def _flags(run, reverse=False):
    last = run.grid[1] - 1
    return pl.BlockSpec((run.steps, run.rows, 1), lambda b, t: (last - t if reverse else t, b, 0))


def _resident(array):
    """A whole array, brought to VMEM once and in one copy, where blocks that change have two."""
    return pl.BlockSpec(array.shape, lambda b, t: (0, 0), pipeline_mode=pl.Buffered(1))


def _like(array):
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _stream(array, width):
    return jax.ShapeDtypeStruct((*array.shape[:2], width), array.dtype)


def _settings(run):
    limits = pltpu.CompilerParams(
        dimension_semantics=("parallel", "arbitrary"), vmem_limit_bytes=max(2**24, run.vmem * 4 // 3)
    )
    return {"compiler_params": limits, "interpret": run.interpret}
