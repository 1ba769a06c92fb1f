"""The parts of the fused gated recurrent unit, in its two forms.

The gates are separate products with separate inputs: XLA:CPU vectorises that, and not nonlinearities of slices of a
fused product. With e = d y + d h and the gates r, z, n of the pre-activations a:

    d a_n = e (1 - z) (1 - n^2)          d a_z = e (s - n) z (1 - z)

reset="after", v = s W_n + b_hn:         d a_r = d a_n v r (1 - r)
    d s = e z + [d a_r, d a_z, d a_n r] W_h^T
    d W_h = sum_t s^T [d a_r, d a_z, d a_n r]           d b_hn = sum_t d a_n r

reset="before", w = d a_n W_n^T:         d a_r = w s r (1 - r)
    d s = e z + w r + [d a_r, d a_z] [W_r, W_z]^T
    d W_r, d W_z = sum_t s^T [d a_r, d a_z]             d W_n = sum_t (r s)^T d a_n
"""

import jax.numpy as jnp

from lm_jax.caching import cached
from lm_jax.cells.engines.fused import FusedParts, over_rows
from lm_jax.cells.gru.equations import candidate_after, candidate_before, new_state, open_gates
from lm_jax.layers import cast, product


def _inputs(z):
    return tuple(jnp.split(z, 3, axis=-1))


@cached
def gru_after_parts(compute_dtype: str | None) -> FusedParts:
    """Makes the parts for reset="after"; weights are (w_h, b_hn)."""

    def step(arranged, h, x):
        w_r, w_z, w_n, b_hn = arranged
        r, z = open_gates(x[0], x[1], product(h, w_r), product(h, w_z))
        v = product(h, w_n) + b_hn
        n = candidate_after(x[2], r, v)
        new = new_state(z, n, h)
        return new, new, (r, z, n, v)

    def factors(starts, ys, residuals):
        del ys
        r, z, n, v = residuals
        k_n = (1 - z) * (1 - n * n)
        return jnp.concatenate([k_n * v * r * (1 - r), (starts - n) * z * (1 - z), k_n * r], axis=-1), z

    def step_back(w_back, d_h, d_y, factors):
        slopes, z = factors
        e = d_h + d_y
        d_product = jnp.concatenate([e, e, e], axis=-1) * slopes
        return e * z + product(d_product, w_back), (e, d_product)

    def collect(starts, ys, residuals, factors, signals):
        del ys, factors
        e, d_product = signals
        _, z, n, _ = residuals
        d_r, d_z, d_v = jnp.split(d_product, 3, axis=-1)
        d_weights = over_rows(starts, d_product, compute_dtype), jnp.sum(d_v, axis=tuple(range(d_v.ndim - 1)))
        return d_weights, jnp.concatenate([d_r, d_z, e * (1 - z) * (1 - n * n)], axis=-1)

    return FusedParts(
        inputs=_inputs,
        arrange=lambda weights: (*jnp.split(cast(weights[0], compute_dtype), 3, axis=-1), weights[1]),
        step=step,
        arrange_back=lambda weights: cast(weights[0], compute_dtype).T,
        factors=factors,
        step_back=step_back,
        collect=collect,
    )


@cached
def gru_before_parts(compute_dtype: str | None) -> FusedParts:
    """Makes the parts for reset="before"; weights are (w_h,)."""

    def arrange(weights):
        (w_h,) = weights
        return jnp.split(cast(w_h, compute_dtype), 3, axis=-1)

    def arrange_back(weights):
        w_r, w_z, w_n = arrange(weights)
        return jnp.concatenate([w_r, w_z], axis=-1).T, w_n.T

    def step(arranged, h, x):
        w_r, w_z, w_n = arranged
        r, z = open_gates(x[0], x[1], product(h, w_r), product(h, w_z))
        n = candidate_before(x[2], r, h, lambda state: product(state, w_n))
        new = new_state(z, n, h)
        return new, new, (r, z, n)

    def factors(starts, ys, residuals):
        del ys
        r, z, n = residuals
        return starts * r * (1 - r), (starts - n) * z * (1 - z), (1 - z) * (1 - n * n), r, z

    def step_back(arranged, d_h, d_y, factors):
        (w_rz, w_n), (k_r, k_z, k_n, r, z) = arranged, factors
        e = d_h + d_y
        d_n = e * k_n
        w = product(d_n, w_n)
        d_rz = jnp.concatenate([w * k_r, e * k_z], axis=-1)
        return e * z + w * r + product(d_rz, w_rz), (d_rz, d_n)

    def collect(starts, ys, residuals, factors, signals):
        del ys, factors
        d_rz, d_n = signals
        d_w = over_rows(starts, d_rz, compute_dtype), over_rows(residuals[0] * starts, d_n, compute_dtype)
        return (jnp.concatenate(d_w, axis=-1),), jnp.concatenate([d_rz, d_n], axis=-1)

    return FusedParts(
        inputs=_inputs,
        arrange=arrange,
        step=step,
        arrange_back=arrange_back,
        factors=factors,
        step_back=step_back,
        collect=collect,
    )
