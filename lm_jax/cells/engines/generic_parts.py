"""The parts of any recurrence with one product of its state, p_t = h(s_t) W_h, for a cell of one's own.

    (new_t, y_t) = f(s_t, z_t, p_t)
    (d s_t, d z_t, d p_t) = the derivative of f, from d new_t and d y_t, by autodiff in every backward step
    d s_t += d p_t W_h^T at h        d W_h = sum_t h(s_t)^T d p_t

The gain is the product for W_h after the loop. What hand-written parts can do besides, the derivatives of
nonlinearities for all steps at once, autodiff of f does not. f may hold no trained parameter: all come by z or are W_h.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from lm_jax.cells.engines.fused import FusedParts, over_rows
from lm_jax.layers import cast, product
from lm_jax.types import Carry


def cell_parts(
    f: Callable[[Carry, Array, Array], tuple[Carry, Array]],
    hidden: Callable[[Carry], Array] = lambda carry: carry,
    compute_dtype: str | None = None,
) -> FusedParts:
    """Makes the parts for f; weights are (w_h,). Make them once a cell: JAX traces anew for new ones.

    Args:
        f: (s, z [*B, kH], p [*B, kH]) -> (new carry, y [*B, H]), one step.
        hidden: Takes from a carry the leaf [*B, H] that W_h multiplies, such as `lambda carry: carry.h`. Default: the
            carry itself.
        compute_dtype: The type of the operands of products; None leaves it as it is.
    """

    def arrange(weights):
        (w_h,) = weights
        return cast(w_h, compute_dtype)

    def step(w_h, start, z):
        p = product(hidden(start), w_h)
        return *f(start, z, p), (z, p)

    def step_back(w_back, d_new, d_y, factors):
        start, (z, p) = factors
        d_start, d_z, d_p = jax.vjp(f, start, z, p)[1]((d_new, d_y))
        (through_product,) = jax.vjp(hidden, start)[1](product(d_p, w_back))
        return jax.tree.map(jnp.add, d_start, through_product), (d_z, d_p)

    def collect(starts, ys, residuals, factors, signals):
        del ys, residuals, factors
        d_z, d_p = signals
        return (over_rows(hidden(starts), d_p, compute_dtype),), d_z

    return FusedParts(
        inputs=lambda z: z,
        arrange=arrange,
        step=step,
        arrange_back=lambda weights: arrange(weights).T,
        factors=lambda starts, ys, residuals: (starts, residuals),
        step_back=step_back,
        collect=collect,
    )
