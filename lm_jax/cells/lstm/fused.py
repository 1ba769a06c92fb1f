"""The parts of the fused long short-term memory.

All gates are one tanh over the contiguous [*B, 4H] block, sigmoid(a) = (tanh(a / 2) + 1) / 2: XLA vectorises that, and
not nonlinearities of slices. It rounds like the sigmoid absolutely (1e-7), not relatively where the sigmoid is near 0.
So the loop works on pre-activations a' whose sigmoid blocks are half of a: their weights are halved outside (`halved`),
and the bias is added inside, where it costs nothing: no array of all steps is made for either.

With t = tanh(a'), t = (t_i, t_f, g, t_o), i = (t_i + 1) / 2 and so f and o, u = tanh(c), e_h = d y + d h and
e_c = d c + e_h o (1 - u^2):

    d a'_i = e_c g (1 - t_i^2) / 2    d a'_f = e_c s_c (1 - t_f^2) / 2    d a'_g = e_c i (1 - g^2)
    d a'_o = e_h u (1 - t_o^2) / 2    d s_h = d a' W_h'^T                 d s_c = e_c f
    d W_h' = sum_t s_h^T d a'         d b' = sum_t d a'                   d z' = d a'
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.engines.fused import FusedParts, over_rows
from lm_jax.layers import cast, product


def halved(a: Float[Array, "*N gates"]) -> Float[Array, "*N gates"]:
    """Weights or a bias with the blocks of the sigmoid gates divided by 2, which no type rounds."""
    scale = jnp.repeat(jnp.array([0.5, 0.5, 1.0, 0.5], a.dtype), a.shape[-1] // 4)
    return a * scale


@cached
def lstm_parts(compute_dtype: str | None) -> FusedParts:
    """Makes the parts; weights are (w_h, b), both halved, z comes from halved weights without a bias;
    the carry is (h, c)."""

    def collect(starts, ys, residuals, factors, d_a):
        del ys, residuals, factors
        return (over_rows(starts.h, d_a, compute_dtype), jnp.sum(d_a, axis=tuple(range(d_a.ndim - 1)))), d_a

    return FusedParts(
        inputs=lambda z: z,
        arrange=lambda weights: (cast(weights[0], compute_dtype), weights[1]),
        step=_step,
        arrange_back=lambda weights: cast(weights[0], compute_dtype).T,
        factors=_factors,
        step_back=_step_back,
        collect=collect,
    )


def _step(weights, start, z):
    w_h, b = weights
    t = jnp.tanh(z + b + product(start.h, w_h))
    t_i, t_f, g, t_o = jnp.split(t, 4, axis=-1)
    c = (0.5 * t_f + 0.5) * start.c + (0.5 * t_i + 0.5) * g
    shown = jnp.tanh(c)
    h = (0.5 * t_o + 0.5) * shown
    return start._replace(h=h, c=c), h, (t, shown)


def _factors(starts, ys, residuals):
    del ys
    t, shown = residuals
    t_i, t_f, g, t_o = jnp.split(t, 4, axis=-1)
    slopes = [
        0.5 * g * (1 - t_i * t_i),
        0.5 * starts.c * (1 - t_f * t_f),
        (0.5 * t_i + 0.5) * (1 - g * g),
        0.5 * shown * (1 - t_o * t_o),
    ]
    return jnp.concatenate(slopes, axis=-1), (0.5 * t_o + 0.5) * (1 - shown * shown), 0.5 * t_f + 0.5


def _step_back(w_back, d_new, d_y, factors):
    slopes, through_output, forget = factors
    e_h = d_new.h + d_y
    e_c = d_new.c + e_h * through_output
    d_a = jnp.concatenate([e_c, e_c, e_c, e_h], axis=-1) * slopes
    return d_new._replace(h=product(d_a, w_back), c=e_c * forget), d_a
