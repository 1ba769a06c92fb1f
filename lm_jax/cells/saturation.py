"""When a nonlinearity is saturated: its derivative is below 5 % of its largest, so that little gradient passes it.

    sigmoid    s (1 - s) < 0.05 / 4      the value s is below 0.0127 or above 0.9873
    tanh       1 - t^2 < 0.05            |t| is above 0.9747
    relu       the derivative is 0       the value is 0
    identity   never

Every function takes values, after the nonlinearity, and gives booleans of the same shape.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


SHARE_OF_LARGEST = 0.05

SATURATED: dict[str, Callable[[Float[Array, "..."]], Bool[Array, "..."]]] = {
    "tanh": lambda t: 1 - t * t < SHARE_OF_LARGEST,
    "sigmoid": lambda s: s * (1 - s) < SHARE_OF_LARGEST / 4,
    "relu": lambda y: y <= 0,
    "identity": lambda y: jnp.zeros(y.shape, bool),
}


def saturated_share(sigmoids: tuple[Array, ...], tanhs: tuple[Array, ...]) -> Float[Array, "*B H"]:
    """Returns the saturated share of a gated unit's nonlinearities, given by their values [*B, H]."""
    flags = [*map(SATURATED["sigmoid"], sigmoids), *map(SATURATED["tanh"], tanhs)]
    return jnp.mean(jnp.stack(flags), axis=0, dtype=sigmoids[0].dtype)
