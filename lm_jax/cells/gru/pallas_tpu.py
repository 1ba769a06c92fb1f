"""The parts of the gated recurrent unit, in its two forms, for the `pallas` engine. They HAVE NOT RUN ON A TPU yet.

The derivatives are those of fused.py. Where the reset gate acts after the product, the adjoint of h W_hn + b_hn is
r d a_n, which is made again for d W_h from d z and the gate; where before, the state that W_hn multiplies is r s.
"""

import jax.numpy as jnp

from lm_jax.cells.engines.pallas import KernelParts
from lm_jax.cells.gru.equations import candidate_after, candidate_before, new_state, open_gates
from lm_jax.layers import product


def _step_after(weights, start, x):
    (w_h, b_hn), (h,) = weights, start
    x_r, x_z, x_n = jnp.split(x, 3, axis=-1)
    h_r, h_z, h_n = jnp.split(product(h, w_h[...]), 3, axis=-1)
    r, z = open_gates(x_r, x_z, h_r, h_z)
    v = h_n + b_hn[...]
    n = candidate_after(x_n, r, v)
    return (new_state(z, n, h),), (r, z, n, v)


def _back_after(w_back, start, saved, d_new):
    (h,), (r, z, n, v), (e,) = start, saved, d_new
    d_n = e * (1 - z) * (1 - n * n)
    d_r, d_z = d_n * v * r * (1 - r), e * (h - n) * z * (1 - z)
    d_product = jnp.concatenate([d_r, d_z, d_n * r], axis=-1)
    return (e * z + product(d_product, w_back[...]),), jnp.concatenate([d_r, d_z, d_n], axis=-1)


def _products_after(rows, h, saved, d_z):
    split, h, d_z = 2 * h.shape[-1], rows(h), rows(d_z)
    return [(0, h, d_z[:, :split]), (split, h, d_z[:, split:] * rows(saved[0]))]


def _others_after(saved, d_z):
    r = saved[0]
    return (jnp.sum(d_z[..., 2 * r.shape[-1] :] * r, axis=(0, 1))[None],)


def _step_before(weights, start, x):
    (w_h,), (h,) = weights, start
    x_r, x_z, x_n = jnp.split(x, 3, axis=-1)
    split = 2 * h.shape[-1]
    r, z = open_gates(x_r, x_z, *jnp.split(product(h, w_h[:, :split]), 2, axis=-1))
    n = candidate_before(x_n, r, h, lambda state: product(state, w_h[:, split:]))
    return (new_state(z, n, h),), (r, z, n)


def _back_before(w_back, start, saved, d_new):
    (h,), (r, z, n), (e,) = start, saved, d_new
    split = 2 * h.shape[-1]
    d_n = e * (1 - z) * (1 - n * n)
    through = product(d_n, w_back[split:])
    d_rz = jnp.concatenate([through * h * r * (1 - r), e * (h - n) * z * (1 - z)], axis=-1)
    d_h = e * z + through * r + product(d_rz, w_back[:split])
    return (d_h,), jnp.concatenate([d_rz, d_n], axis=-1)


def _products_before(rows, h, saved, d_z):
    split, h, d_z = 2 * h.shape[-1], rows(h), rows(d_z)
    return [(0, h, d_z[:, :split]), (split, h * rows(saved[0]), d_z[:, split:])]


GRU_KERNELS = {
    "after": KernelParts(
        gates=3,
        saved=4,
        weights=2,
        step=_step_after,
        step_back=_back_after,
        products=_products_after,
        others=_others_after,
    ),
    "before": KernelParts(
        gates=3,
        saved=3,
        weights=1,
        step=_step_before,
        step_back=_back_before,
        products=_products_before,
        others=lambda saved, d_z: (),
    ),
}
