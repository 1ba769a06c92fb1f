"""Any cell over time in parallel: its states by Newton's method (engines/newton.py), its gradients by one prefix.

The carry of a row is one vector s [n]. A masked step is the identity, and one that begins anew has the Jacobian 0. With
g_t what the loss asks of s_t, the adjoints are a recurrence that is linear whatever the cell is, backward in time:

    a_t = g_t + J_{t+1}^T a_{t+1}        then one vector-Jacobian product of all steps gives weights and inputs theirs

so gradients are those of the loop, and no iteration is differentiated. Where the matrices are not the whole J the same
recurrence is solved as the states are, by iterations up to a residual, or the loop backward.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from lm_jax.cells.base import Cell, select
from lm_jax.cells.engines.newton import Recurrence, Settings, before, solve
from lm_jax.cells.varying import wide
from lm_jax.errors import UserError, check_rate, check_sizes, one_of
from lm_jax.types import Carry, Mask, Params


class Unrolled(NamedTuple):
    """What `unroll` returns, and how it was found.

    iterations: of Newton's method, at most T.
    residual: The largest |s_t - F(s_{t-1}, x_t)| / max(1, |s_t|) that they ended with.
    sequential: Whether that was above the bound, so that carry and outputs are those of the loop.
    """

    carry: Carry
    outputs: Float[Array, "T *B H"]
    iterations: Int[Array, ""]
    residual: Float[Array, ""]
    sequential: Bool[Array, ""]


class _Layout(NamedTuple):
    """The carry of one row as a vector: structure, shapes and types of its leaves."""

    tree: Any
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]

    def flat(self, carry: Carry, axes: int) -> Array:
        """Leaves [*A, ...] as [*A, n], `axes` the number of A."""
        leaves = [leaf.reshape(*leaf.shape[:axes], math.prod(leaf.shape[axes:])) for leaf in jax.tree.leaves(carry)]
        return jnp.concatenate(leaves, axis=-1)

    def carry(self, flat: Array) -> Carry:
        """The inverse."""
        leaves, start = [], 0
        for shape, dtype in zip(self.shapes, self.dtypes, strict=True):
            size = math.prod(shape)
            leaves.append(flat[..., start : start + size].reshape(*flat.shape[:-1], *shape).astype(dtype))
            start += size
        return jax.tree.unflatten(self.tree, leaves)


class _Problem(NamedTuple):
    """What a compiled solution depends on beside arrays."""

    cell: Cell
    layout: _Layout
    jacobian: str
    settings: Settings


def unroll_parallel(
    cell: Cell,
    params: Params,
    carry: Carry,
    xs: Float[Array, "T *B E"],
    *,
    mask: Mask | None = None,
    reset: Mask | None = None,
    jacobian: str = "dense",
    damping: float = 0.0,
    max_iterations: int = 64,
    tolerance: float | None = None,
) -> Unrolled:
    """Unrolls any cell in parallel over time, without dropout: the same numbers as `cell.unroll`, and their gradients.

    It pays where the state is small, the sequence long, and the largest Lyapunov exponent below 0: see
    lm_jax/cells/README.md. All rows iterate until the last of them is done. Reverse mode only. Under `vmap` both the
    iterations and the loop are run.

    Args:
        cell: Whose `step` is the recurrence. Its carry must be of real numbers.
        params: Its parameters.
        carry: Before the first step.
        xs: Inputs.
        mask: False leaves the carry untouched, [T, *B].
        reset: True begins the step from the initial carry, [T, *B].
        jacobian: "dense", n^2 numbers and n^3 products a step, n the numbers of a row's carry; "diagonal", its
            diagonal, n numbers, more iterations; "units", the leaves of the carry unit by unit, the whole Jacobian
            where units see only themselves (`diagonal_gru`, `diagonal_lstm`, mingru, minlstm, lru, rglru), and cheap.
        damping: Share by which Jacobians are lessened, in [0, 1).
        max_iterations: After which, if the residual is still above the bound, the loop is run; T of them always do.
        tolerance: The bound of the residual. Default: 32 times the rounding of a number, 4e-6 in float32.

    Returns:
        Carry, outputs, iterations, residual, and whether the loop had to be run.

    Raises:
        UserError: For a setting out of its range, a carry with integers, or one that has no units.
    """
    _check(damping, max_iterations, tolerance)
    one_of("jacobian", jacobian, _BLOCKS)
    if not len(xs):
        nothing = jnp.zeros(())
        carry, outputs = cell.unroll(params, carry, xs, mask=mask, reset=reset)
        return Unrolled(carry, outputs, nothing.astype(jnp.int32), nothing, nothing.astype(bool))
    carry, batch_shape = wide(carry), xs.shape[1:-1]
    axes, count = len(batch_shape), math.prod(batch_shape)
    layout = _layout(carry, axes, jacobian)
    problem = _Problem(cell, layout, jacobian, Settings(damping, max_iterations, tolerance))

    def rows(carry):
        flat = layout.flat(carry, axes)
        return flat.reshape(count, flat.shape[-1])

    start, initial = rows(carry), rows(wide(cell.initial_carry(params, batch_shape)))
    x_rows = jnp.reshape(xs, (len(xs), count, xs.shape[-1]))
    mask, reset = (None if m is None else jnp.reshape(m, (len(xs), count)) for m in (mask, reset))
    solved: Any = _trajectory(problem, params, start, initial.astype(start.dtype), x_rows, mask, reset)
    states, *record = solved
    _, ys = cell.step(params, layout.carry(_begun(before(start, states), initial, reset)), x_rows)
    last = layout.carry(states[-1].reshape(*batch_shape, states.shape[-1]))
    return Unrolled(last, ys.reshape(*xs.shape[:-1], ys.shape[-1]), *record)


def _advance(problem, params, initial, slices, state):
    """The state [*A, R, n] after steps that begin from `state`; masked ones change nothing."""
    x, keep, restart = slices
    carry, _ = problem.cell.step(params, problem.layout.carry(_begun(state, initial, restart)), x)
    new = problem.layout.flat(carry, state.ndim - 1).astype(state.dtype)
    return new if keep is None else select(keep, new, state)


def _begun(state, initial, restart):
    return state if restart is None else select(restart, jnp.broadcast_to(initial, state.shape), state)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _trajectory(problem, params, start, initial, xs, mask, reset) -> tuple[Array, Array, Array, Array]:
    """(states [T, R, n], iterations, residual, sequential)."""
    slices = xs, mask, reset
    step = functools.partial(_advance, problem, params, initial)
    every = functools.partial(step, slices)
    blocks = functools.partial(_blocks, problem, every)
    return solve(Recurrence(step, every, blocks, slices), start, problem.settings)[:]


def _forward(problem, params, start, initial, xs, mask, reset):
    solved: Any = _trajectory(problem, params, start, initial, xs, mask, reset)
    return solved, (params, start, initial, xs, mask, reset, solved[0])


def _backward(problem, saved, cotangents):
    params, start, initial, xs, mask, reset, states = saved
    asked, previous = cotangents[0], before(start, states)

    def of_all(params, initial, xs, previous):
        return _advance(problem, params, initial, (xs, mask, reset), previous)

    def back(slices, state, adjoint):
        return jax.vjp(functools.partial(_advance, problem, params, initial, slices), state)[1](adjoint)[0]

    # in units of the largest number that is asked, so that a residual is relative to it
    size = jnp.max(jnp.abs(asked))
    size = jnp.where(size > 0, size, 1)
    adjoints = (asked / size)[::-1]
    if len(xs) > 1:
        # from the last step but one to the first: what the step after each is given and begins from
        reverse = jax.tree.map(lambda leaf: leaf[:0:-1], ((xs, mask, reset), previous))
        data = (*reverse, adjoints[1:])
        matrices = jnp.swapaxes(
            _blocks(problem, functools.partial(_advance, problem, params, initial, reverse[0]), reverse[1]), -1, -2
        )

        def step(slices, adjoint):
            entered, state, asked = slices
            return asked + back(entered, state, adjoint)

        recurrence = Recurrence(step, functools.partial(step, data), lambda _: matrices, data)
        settings = problem.settings._replace(damping=0.0)
        adjoints = jnp.concatenate([adjoints[:1], solve(recurrence, adjoints[0], settings).states])
    d_params, d_initial, d_xs, d_previous = jax.vjp(of_all, params, initial, xs, previous)[1](size * adjoints[::-1])
    return d_params, d_previous[0], d_initial, d_xs, None, None


_trajectory.defvjp(_forward, _backward)


def _blocks(problem: _Problem, every: Callable[[Array], Array], previous: Array) -> Array:
    """What stands for the Jacobians of all steps at these states, [T, R, U, L, L]."""
    back = jax.vjp(every, previous)[1]
    return _BLOCKS[problem.jacobian](lambda row: back(jnp.broadcast_to(row, previous.shape))[0], previous, problem)


def _dense(row_of, previous, problem):
    rows = jax.vmap(row_of)(jnp.eye(previous.shape[-1], dtype=previous.dtype))
    return jnp.moveaxis(rows, 0, -2)[..., None, :, :]


def _diagonal(row_of, previous, problem):
    """One row of all Jacobians after the other, as only a number of each is kept."""
    size = previous.shape[-1]
    entries = jax.lax.map(lambda k: row_of(jax.nn.one_hot(k, size, dtype=previous.dtype))[..., k], jnp.arange(size))
    return jnp.moveaxis(entries, 0, -1)[..., None, None]


def _units(row_of, previous, problem):
    """The sums of rows over all units of a leaf, in which, where units see only themselves, each has its own."""
    leaves = len(problem.layout.shapes)
    units = previous.shape[-1] // leaves
    chosen = jnp.repeat(jnp.eye(leaves, dtype=previous.dtype), units, axis=1)
    rows = jax.vmap(row_of)(chosen).reshape(leaves, *previous.shape[:-1], leaves, units)
    return jnp.moveaxis(rows, (0, -2, -1), (-2, -1, -3))


_BLOCKS = {"dense": _dense, "diagonal": _diagonal, "units": _units}


def _layout(carry, axes, jacobian):
    leaves, tree = jax.tree.flatten(carry)
    shapes = tuple(leaf.shape[axes:] for leaf in leaves)
    wrong = [leaf.dtype for leaf in leaves if not jnp.issubdtype(leaf.dtype, jnp.floating)]
    if wrong:
        raise UserError(f"unroll_parallel needs a carry of real numbers, got {wrong[0]}")
    if jacobian == "units" and len(set(shapes)) != 1:
        raise UserError(f"jacobian units needs a carry whose leaves all have one shape, got {shapes}", ["jacobian"])
    return _Layout(tree, shapes, tuple(leaf.dtype for leaf in leaves))


def _check(damping, max_iterations, tolerance):
    check_rate("damping", damping)
    check_sizes(max_iterations=max_iterations)
    if tolerance is not None and not tolerance > 0:
        raise UserError(f"tolerance must be above 0, got {tolerance}", ["tolerance"])
