"""The parts of the fused simple recurrent network, h_t = f(a_t), a_t = z_t + b + s_t W_h.

    d a_t = (d y_t + d new_t) f'(a_t)        d s_t = d a_t W_h^T        d z_t = d a_t
    d W_h = sum_t s_t^T d a_t                d b = sum_t d a_t

The bias is added in the loop, where it costs nothing: added to z it would be a pass over all steps. f' is computed
from the value f(a), which each of these functions allows.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.engines.fused import FusedParts, over_rows
from lm_jax.layers import cast, product


DERIVATIVES: dict[str, Callable[[Float[Array, "..."]], Float[Array, "..."]]] = {
    "tanh": lambda y: 1 - y * y,
    "relu": lambda y: (y > 0).astype(y.dtype),
    "sigmoid": lambda y: y * (1 - y),
    "identity": jnp.ones_like,
}


@cached
def rnn_parts(f: Callable[[Array], Array], nonlinearity: str, compute_dtype: str | None) -> FusedParts:
    """Makes the parts for f; weights are (w_h, b), z comes without the bias.

    Args:
        f: The nonlinearity.
        nonlinearity: Its name in `DERIVATIVES`.
        compute_dtype: The type of the operands of products; None leaves it as it is.
    """

    def step(weights, start, z):
        w_h, b = weights
        h = f(z + b + product(start, w_h))
        return h, h, None

    def factors(starts, ys, residuals):
        del starts, residuals
        return DERIVATIVES[nonlinearity](ys)

    def step_back(w_back, d_h, d_y, slope):
        d_a = (d_h + d_y) * slope
        return product(d_a, w_back), d_a

    def collect(starts, ys, residuals, slopes, d_a):
        del ys, residuals, slopes
        return (over_rows(starts, d_a, compute_dtype), jnp.sum(d_a, axis=tuple(range(d_a.ndim - 1)))), d_a

    return FusedParts(
        inputs=lambda z: z,
        arrange=lambda weights: (cast(weights[0], compute_dtype), weights[1]),
        step=step,
        arrange_back=lambda weights: cast(weights[0], compute_dtype).T,
        factors=factors,
        step_back=step_back,
        collect=collect,
    )
