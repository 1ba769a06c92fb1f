"""Two LSTM layers computed in ways that lm_jax does not go, for cpu_attempts.py: (params of a stack, xs) -> ys.

All have the equations of lm_jax's fused engine, its `lstm_parts`, and a derivative of their own.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from lm_jax.cells import Cell
from lm_jax.cells.engines import FusedParts, over_rows
from lm_jax.cells.lstm.cell import LSTMCarry
from lm_jax.cells.lstm.fused import halved, lstm_parts


PARTS = lstm_parts(None)


def nothing(rows: int, units: int) -> LSTMCarry:
    """The carry before the first step, and the adjoints after the last."""
    return LSTMCarry(jnp.zeros((rows, units)), jnp.zeros((rows, units)))


def in_blocks(stack: Cell, length: int) -> Callable:
    """All layers for some steps, then for the next: what a layer hands to the one above stays small.

    Args:
        stack: the layers.
        length: of a block, in steps; it divides those of the sequence.
    """

    def unroll(params, xs):
        blocks = xs.reshape(-1, length, *xs.shape[1:])
        carry = stack.initial_carry(params, xs.shape[1:-1])
        ys = jax.lax.scan(lambda carry, block: stack.unroll(params, carry, block), carry, blocks)[1]
        return ys.reshape(-1, *ys.shape[2:])

    return unroll


def one_by_one(parts: FusedParts = PARTS, turned: bool = False, unroll: int = 1) -> Callable:
    """Layer by layer as lm_jax does it.

    Args:
        parts: the equations.
        turned: whether the parts' adjoints are [H, B].
        unroll: steps of an iteration.
    """
    recur = _recurrence(parts, turned, unroll)

    def both(params, xs):
        for layer in params.cells:
            z = xs @ halved(layer.w_x)
            xs = recur((halved(layer.w_h), halved(layer.b)), z)
        return xs

    return both


def _recurrence(parts, turned, unroll):
    """(weights, z) -> ys, the fused engine without masks, from a carry of zeros."""

    def turn(a):
        return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, -1, -2), a) if turned else a

    def forward(weights, z):
        arranged = parts.arrange(weights)

        def body(start, x):
            new, y, residuals = parts.step(arranged, start, x)
            return new, (y, start, residuals)

        ys, starts, residuals = jax.lax.scan(body, nothing(z.shape[1], z.shape[2] // 4), z, unroll=unroll)[1]
        return ys, (weights, starts, ys, residuals)

    def backward(saved, d_ys):
        weights, starts, ys, residuals = saved
        arranged, factors = parts.arrange_back(weights), turn(parts.factors(starts, ys, residuals))

        def body(d_new, slices):
            d_y, factor = slices
            return parts.step_back(arranged, d_new, d_y, factor)

        d_carry = turn(nothing(*d_ys.shape[1:]))
        signals = turn(jax.lax.scan(body, d_carry, (turn(d_ys), factors), reverse=True, unroll=unroll)[1])
        return parts.collect(starts, ys, residuals, factors, signals)

    recur = jax.custom_vjp(lambda weights, z: forward(weights, z)[0])
    recur.defvjp(forward, backward)
    return recur


def _turned_step_back(w_h, d_new, d_y, factors):
    """`step_back` with adjoints [H, B]: the product is W_h [H, 4H] d_a [4H, B], nothing transposed in the loop."""
    slopes, through_output, forget = factors
    e_h = d_new.h + d_y
    e_c = d_new.c + e_h * through_output
    d_a = jnp.concatenate([e_c, e_c, e_c, e_h], axis=0) * slopes
    return LSTMCarry(w_h @ d_a, e_c * forget), d_a


TURNED = PARTS._replace(arrange_back=lambda weights: weights[0], step_back=_turned_step_back)


def _wavefront_forward(weights, z):
    lower, (w_2, b_2) = weights
    rows, units = z.shape[1], z.shape[2] // 4

    def body(carries, slices):
        (one, two), (z, begun) = carries, slices
        new_one, _, kept_one = PARTS.step(lower, one, z)
        both = LSTMCarry(jnp.concatenate([one.h, two.h], axis=-1), two.c)
        new_two, _, kept_two = PARTS.step((w_2, b_2), both, 0.0)
        new_two = jax.tree.map(lambda a: a * begun, new_two)
        return (new_one, new_two), (new_two.h, (one, both), (kept_one, kept_two))

    z = jnp.concatenate([z, jnp.zeros_like(z[:1])])
    begun = (jnp.arange(len(z)) > 0).astype(z.dtype)
    carries = nothing(rows, units), nothing(rows, units)
    ys, starts, kept = jax.lax.scan(body, carries, (z, begun))[1]
    return ys[1:], (weights, starts, kept, begun)


def _wavefront_backward(saved, d_ys):
    (lower, upper), (one, both), (kept_one, kept_two), begun = saved
    back_one, back_two = PARTS.arrange_back(lower), PARTS.arrange_back(upper)
    factors_one = PARTS.factors(one, None, kept_one)
    slopes, *others = PARTS.factors(both, None, kept_two)
    factors_two = (slopes * begun[:, None, None], *others)

    def body(adjoints, slices):
        (d_one, d_two), (d_y, factor_one, factor_two) = adjoints, slices
        d_start, d_a_one = PARTS.step_back(back_one, d_one, 0.0, factor_one)
        d_both, d_a_two = PARTS.step_back(back_two, d_two, d_y, factor_two)
        d_lower, d_upper = jnp.split(d_both.h, 2, axis=-1)
        return (LSTMCarry(d_start.h + d_lower, d_start.c), LSTMCarry(d_upper, d_both.c)), (d_a_one, d_a_two)

    d_ys = jnp.concatenate([jnp.zeros_like(d_ys[:1]), d_ys])
    zeros = nothing(*d_ys.shape[1:])
    d_a_one, d_a_two = jax.lax.scan(body, (zeros, zeros), (d_ys, factors_one, factors_two), reverse=True)[1]
    d_lower = over_rows(one.h, d_a_one, None), d_a_one.sum((0, 1))
    d_upper = over_rows(both.h, d_a_two, None), d_a_two.sum((0, 1))
    return (d_lower, d_upper), d_a_one[:-1]


def wavefront() -> Callable:
    """Layer 1 at step s and layer 2 at step s - 1 in one iteration, which do not wait for each other.

    Layer 2 reads [h_1, h_2] by one product with [W_x; W_h], so its input's share is no product over all steps.
    """

    @jax.custom_vjp
    def recur(weights, z):
        return _wavefront_forward(weights, z)[0]

    recur.defvjp(_wavefront_forward, _wavefront_backward)

    def unroll(params, xs):
        one, two = params.cells
        upper = halved(jnp.concatenate([two.w_x, two.w_h])), halved(two.b)
        return recur(((halved(one.w_h), halved(one.b)), upper), xs @ halved(one.w_x))

    return unroll
