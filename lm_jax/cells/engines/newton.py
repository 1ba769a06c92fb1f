"""The `newton` engine: all states of a recurrence that is not linear, by Newton's method over the whole sequence.

    s_t = F_t(s_{t-1})        r_t = F_t(s_{t-1}) - s_t        J_t = dF_t / ds at s_{t-1}, of a guess of all states
    d_t = J_t d_{t-1} + r_t   s_t + d_t is the next guess

The correction d is a linear recurrence, all steps of which a parallel prefix computes at once (engines/associative.py):
DEER (Lim et al. 2024, arXiv:2309.12252). Any matrix in place of J_t has the same solution, at the price of more
iterations: its diagonal alone is quasi-DEER (Gonzalez et al. 2024, arXiv:2407.19115), without the cube of the size of
the state; J_t times 1 - damping is nearer to the iteration s_t <- F_t(s_{t-1}), which overflows less. Whatever the
matrices, one more state from the start is right after each iteration, so that T of them always suffice.

How many are needed is foretold by the largest Lyapunov exponent: of the order of log T below 0; above it errors of the
guess grow along the sequence, and it is T (Gonzalez et al. 2025, arXiv:2508.16817). There the prefix also overflows:
where a correction is no number the step s_t <- F_t(s_{t-1}) is taken. The last guess is measured, max |r_t| relative
to max(1, |s_t|), and where that is above the bound the loop is run instead.

Shapes: states [T, R, n] of R rows; matrices [T, R, U, L, L], U blocks of L numbers that see each other, n = U L.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


BOUND, TARGET = 32, 4  # residuals in units of rounding: one that is accepted, and one below which nothing is gained
SMALL = 4  # numbers of a block up to which its products are sums written out, not calls of a product of matrices


class Settings(NamedTuple):
    """How the iteration goes: see `lm_jax.cells.unroll_parallel`."""

    damping: float
    max_iterations: int
    tolerance: float | None


class Recurrence(NamedTuple):
    """A recurrence of T steps.

    step:    (slices of one step, states [R, n]) -> [R, n]
    every:   (the state before each step [T, R, n]) -> the states after [T, R, n]
    blocks:  the same argument -> J or what stands for it [T, R, U, L, L]
    slices:  a pytree with time on axis 0
    """

    step: Callable[[Any, Array], Array]
    every: Callable[[Array], Array]
    blocks: Callable[[Array], Array]
    slices: Any


class Solved(NamedTuple):
    """All states, the iterations made, the residual they ended with, and whether the loop was run instead."""

    states: Float[Array, "T R n"]
    iterations: Int[Array, ""]
    residual: Float[Array, ""]
    sequential: Bool[Array, ""]


# Accelerators multiply float32 with 10 or 7 bits by default: residuals would never come down to the bound.
@jax.default_matmul_precision("highest")
def solve(recurrence: Recurrence, start: Float[Array, "R n"], settings: Settings) -> Solved:
    """Computes all states of a recurrence, with products in full precision.

    Args:
        recurrence: At least one step of it.
        start: The state before the first.
        settings: How the iteration goes.

    Returns:
        The states, with the iterations made and the residual they ended with.
    """
    steps = len(jax.tree.leaves(recurrence.slices)[0])
    limit = min(settings.max_iterations, steps)
    rounding = float(jnp.finfo(start.dtype).eps)
    bound = BOUND * rounding if settings.tolerance is None else settings.tolerance
    guess = jnp.broadcast_to(start, (steps, *start.shape))

    def measured(states):
        values = recurrence.every(before(start, states))
        return values, jnp.max(jnp.abs(values - states) / jnp.maximum(1, jnp.abs(values)))

    def goes_on(state):
        count, _, _, residual, last = state
        improves = (residual > TARGET * rounding) & (residual < last / 2)
        return (count < limit) & (~(residual <= bound) | improves)  # a residual may be NaN

    def iteration(state):
        count, states, values, residual, _ = state
        matrices = (1 - settings.damping) * recurrence.blocks(before(start, states))
        new = states + linear_states(matrices, values - states)
        new = jnp.where(jnp.isfinite(new), new, values)
        new = jnp.where(jnp.isfinite(new), new, guess)
        return count + 1, new, *measured(new), residual

    values, residual = measured(guess)
    first = (jnp.zeros((), jnp.int32), guess, values, residual, jnp.full_like(residual, jnp.inf))
    count, states, _, residual, _ = jax.lax.while_loop(goes_on, iteration, first)
    sequential = ~(residual <= bound)
    states = jax.lax.cond(sequential, lambda: _one_by_one(recurrence, start), lambda: states)
    return Solved(states, count, residual, sequential)


def before(start: Float[Array, "R n"], states: Float[Array, "T R n"]) -> Float[Array, "T R n"]:
    """Returns the state before each step."""
    return jnp.concatenate([start[None], states[:-1]])


def linear_states(matrices: Float[Array, "T R U L L"], inputs: Float[Array, "T R n"]) -> Float[Array, "T R n"]:
    """Computes d_t = A_t d_{t-1} + b_t from d_0 = 0, the blocks' numbers one leaf of the state after the other."""
    *leading, blocks, size, _ = matrices.shape
    columns = jnp.swapaxes(inputs.reshape(*leading, size, blocks), -1, -2)[..., None]

    def times(a, b):
        if size <= SMALL:
            return sum(a[..., :, k, None] * b[..., k, None, :] for k in range(size))
        return jnp.matmul(a, b)

    def in_a_row(first, second):
        return times(second[0], first[0]), times(second[0], first[1]) + second[1]

    columns = jax.lax.associative_scan(in_a_row, (matrices, columns))[1][..., 0]
    return jnp.swapaxes(columns, -1, -2).reshape(inputs.shape)


def _one_by_one(recurrence, start):
    def body(state, slices):
        state = recurrence.step(slices, state)
        return state, state

    return jax.lax.scan(body, start, recurrence.slices)[1]
