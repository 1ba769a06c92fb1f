"""The parts of the long short-term memory for the `pallas` engine. It HAS NOT RUN ON A TPU yet.

    i, f, o = sigmoid, g = tanh of z + s_h W_h        c = f s_c + i g        h = o tanh(c)

The gates are saved; u = tanh(c) is computed again. With e_h = d y + d h and e_c = d c + e_h o (1 - u^2):

    d a_i = e_c g i (1 - i)      d a_f = e_c s_c f (1 - f)      d a_g = e_c i (1 - g^2)      d a_o = e_h u o (1 - o)
    d s_h = d a W_h^T            d s_c = e_c f                  d W_h = sum_t s_h^T d a      d z = d a
"""

import jax
import jax.numpy as jnp

from lm_jax.cells.engines.pallas import KernelParts
from lm_jax.layers import product


def _step(weights, start, z):
    (w_h,), (h, c) = weights, start
    i, f, g, o = jnp.split(z + product(h, w_h[...]), 4, axis=-1)
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    c = f * c + i * g
    return (o * jnp.tanh(c), c), (i, f, g, o)


def _step_back(w_back, start, saved, d_new):
    (_, c), (i, f, g, o), (e_h, d_c) = start, saved, d_new
    u = jnp.tanh(f * c + i * g)
    e_c = d_c + e_h * o * (1 - u * u)
    d_a = jnp.concatenate(
        [e_c * g * i * (1 - i), e_c * c * f * (1 - f), e_c * i * (1 - g * g), e_h * u * o * (1 - o)], axis=-1
    )
    return (product(d_a, w_back[...]), e_c * f), d_a


LSTM_KERNEL = KernelParts(
    gates=4,
    saved=4,
    weights=1,
    step=_step,
    step_back=_step_back,
    products=lambda rows, h, saved, d_z: [(0, rows(h), rows(d_z))],
    others=lambda saved, d_z: (),
)
