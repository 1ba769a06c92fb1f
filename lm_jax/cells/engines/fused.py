"""The `fused` engine: a whole sequence with a derivative written by hand, faster than that of `lax.scan`.

Autodiff of a scan does in every backward step what could be done once: the derivatives of the nonlinearities, and the
sum of the weights' gradient, which its loop carries along. Here the forward loop keeps what the derivative needs;
every factor of the backward step that does not depend on the carried adjoints is computed for all steps at once; the
backward loop carries the adjoints of the carry alone and gives those of the pre-activations; and the gradient of
the recurrent weights is one product over all T * B rows after the loop (Appleyard et al. 2016, arXiv:1604.01946).

With s_t the carry that step t begins from, m_t the mask (1 without one) and q_t the reset (0 without one):

    s_t = (1 - q_t) carry_{t-1}                                   q_t: the initial carry is zeros
    new_t, y_t = F(s_t, z_t)                                      z_t: the input's share of the pre-activations
    carry_t = m_t new_t + (1 - m_t) carry_{t-1}

    d new_t = m_t d carry_t                                       and what comes from y_t
    d carry_{t-1} = (1 - m_t) d carry_t + (1 - q_t) d s_t

With a mask both loops end, on the CPU, at the last real step of the whole batch; outputs after it are zeros, and pass
on no gradient.
Only reverse mode, and only once: `jax.jvp`, `jax.jacfwd` and a gradient of a gradient need recurrence="scan".
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lm_jax.cells.base import masked_scan, select
from lm_jax.cells.engines.early_end import real_steps, scan_first
from lm_jax.layers import cast, on_a_mesh
from lm_jax.types import Carry


class FusedParts(NamedTuple):
    """One recurrence F, forward and backward. `weights` are those of the loop, a tuple of arrays.

    inputs:        z [T, *B, kH] -> what the loop reads, time first
    arrange:       weights -> what the forward loop multiplies by, cast and arranged once
    step:          (arranged, s, input) -> (new, y, residuals)
    arrange_back:  weights -> what the backward loop multiplies by
    factors:       (s of all steps, ys, residuals of all steps) -> what the backward loop reads, time first
    step_back:     (arranged_back, d new, d y, factors of a step) -> (d s, signal)
    collect:       (s of all steps, ys, residuals, factors, signals) -> (d weights, d z)
    """

    inputs: Callable[[Array], Any]
    arrange: Callable[[tuple], Any]
    step: Callable[[Any, Carry, Any], tuple[Carry, Array, Any]]
    arrange_back: Callable[[tuple], Any]
    factors: Callable[[Carry, Array, Any], Any]
    step_back: Callable[[Any, Carry, Array, Any], tuple[Carry, Any]]
    collect: Callable[[Carry, Array, Any, Any, Any], tuple[tuple, Array]]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def fused_scan(parts: FusedParts, weights, carry, z, mask, reset) -> tuple[Carry, Float[Array, "T *B H"]]:
    """Runs all steps of a recurrence whose initial carry is zeros.

    It has one derivative, in reverse mode.

    Args:
        parts: The equations of the cell.
        weights: The recurrent weights, a pytree as `parts.arrange` takes it.
        carry: The carry before the first step, leaves [*B, ...].
        z: The projected inputs, [T, *B, kH] for k gates.
        mask: Bool [T, *B], False where a step is padding; None for none.
        reset: Bool [T, *B], True where the carry is zeros before the step; None for none.

    Returns:
        The carry after the last step, and the outputs [T, *B, H].
    """

    def recur(start, x):
        new, y, _ = parts.step(arranged, start, x)
        return new, y

    arranged = parts.arrange(weights)
    return masked_scan(recur, _zeros(carry), carry, parts.inputs(z), mask, reset, _loop(mask))


def _forward(parts, weights, carry, z, mask, reset):
    def recur(start, x):
        new, y, residuals = parts.step(arranged, start, x)
        return new, (y, start, residuals)

    arranged = parts.arrange(weights)
    carry, (ys, starts, residuals) = masked_scan(recur, _zeros(carry), carry, parts.inputs(z), mask, reset, _loop(mask))
    return (carry, ys), (weights, starts, ys, residuals, mask, reset)


def _backward(parts, saved, cotangents):
    weights, starts, ys, residuals, mask, reset = saved
    d_carry, d_ys = cotangents
    arranged, factors = parts.arrange_back(weights), parts.factors(starts, ys, residuals)
    nothing = _zeros(d_carry)

    def body(d_carry, slices):
        d_y, factor, keep, restart = slices
        d_new = d_carry if keep is None else select(keep, d_carry, nothing)
        d_start, signal = parts.step_back(arranged, d_new, d_y, factor)
        if restart is not None:
            d_start = select(restart, nothing, d_start)
        if keep is not None:
            d_start = jax.tree.map(jnp.add, d_start, select(keep, nothing, d_carry))
        return d_start, signal

    d_carry, signals = _loop(mask)(body, d_carry, (d_ys, factors, mask, reset), reverse=True)
    d_weights, d_z = parts.collect(starts, ys, residuals, factors, signals)
    # weights of a narrower type have a gradient of theirs: what was summed in float32 is rounded once
    d_weights = jax.tree.map(lambda d, w: d.astype(w.dtype), d_weights, weights)
    return d_weights, d_carry, d_z, None, None


fused_scan.defvjp(_forward, _backward)


def _loop(mask):
    """Over all steps, or with a mask up to the last real step of the batch.

    The latter on the CPU only, where it was measured: a GPU asks the host at every step of a loop of unknown length.
    """
    if mask is None or jax.default_backend() != "cpu":
        return jax.lax.scan
    return functools.partial(scan_first, real_steps(mask))


def _zeros(carry):
    return jax.tree.map(jnp.zeros_like, carry)


def over_rows(
    left: Float[Array, "T *B H"], right: Float[Array, "T *B N"], compute_dtype: str | None
) -> Float[Array, "H N"]:
    """left^T right as one product over all T * B rows, with operands in the type of the other products.

    Args:
        left: The left operand.
        right: The right operand.
        compute_dtype: The type of the operands in the product; None keeps theirs. Sums have the type of `left`.
    """
    accumulate = left.dtype
    left, right = (cast(a, compute_dtype) for a in (left, right))
    if on_a_mesh():
        rows = tuple(range(left.ndim - 1))
        return jax.lax.dot_general(left, right, ((rows, rows), ((), ())), preferred_element_type=accumulate)
    left, right = (a.reshape(-1, a.shape[-1]) for a in (left, right))
    return jnp.einsum("rh,rn->hn", left, right, preferred_element_type=accumulate)
