"""The `associative` engine: a recurrence that is linear in its state, all steps at once by a parallel prefix.

    h_t = a_t * h_{t-1} + b_t          elementwise, a_t and b_t known for all t before

Two steps in a row are one of the same form, (a, b) then (a', b') is (a' a, a' b + b'), and this is associative: the
prefixes of all steps take about 2 log2 T products of whole sequences (Blelloch 1990; Martin & Cundy 2018,
arXiv:1709.04057) where the loop takes T small ones. With |a| <= 1 no prefix overflows, whatever the length.

Masks and resets are steps of the same form, exactly: a masked step is (1, 0), and one that begins from the initial
state s is (0, a s + b). The result differs from that of the loop by rounding alone, a sum in another order.

Shapes: decay and inputs [T, *B, N], real or complex; state and initial [*B, N].
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from lm_jax.cells.base import select
from lm_jax.types import Mask


def linear_recurrence(
    decay: Array, inputs: Array, state: Array, initial: Array, mask: Mask | None = None, reset: Mask | None = None
) -> Array:
    """Computes all states of a linear recurrence in parallel.

    Args:
        decay: a [T, *B, N].
        inputs: b [T, *B, N].
        state: h before the first step, [*B, N].
        initial: What a reset goes back to, [*B, N].
        mask: False keeps the state, [T, *B].
        reset: True begins the step from `initial`, if it is not masked, [T, *B].

    Returns:
        The states after each step, [T, *B, N].
    """
    if not len(decay):
        return inputs
    if reset is not None:
        inputs = select(reset, decay * initial + inputs, inputs)
        decay = select(reset, jnp.zeros_like(decay), decay)
    if mask is not None:
        inputs = select(mask, inputs, jnp.zeros_like(inputs))
        decay = select(mask, decay, jnp.ones_like(decay))
    inputs = inputs.at[0].add(decay[0] * state)
    return jax.lax.associative_scan(_in_a_row, (decay, inputs))[1]


def _in_a_row(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    return first[0] * second[0], second[0] * first[1] + second[1]
