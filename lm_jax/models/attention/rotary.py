"""Rotary positions (Su et al. 2021, arXiv:2104.09864): vectors are turned by angles that grow with their position.

The D features of a vector at position p are D/2 planes, feature i with feature i + D/2; plane i is turned by p f_i,

    f_i = base^(-2i/D)                                                  i = 0 .. D/2 - 1
    R_p x = [x_1 cos(p f) - x_2 sin(p f), x_1 sin(p f) + x_2 cos(p f)]  x = [x_1, x_2]

so that <R_p q, R_s k> depends on p - s alone: any position may be called 0.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


BASE = 10_000.0


def rotate(x: Float[Array, "*N M D"], positions: Int[Array, "*N"], positions_end: int) -> Float[Array, "*N M D"]:
    """Turns M vectors of even size D at each position.

    Args:
        x: The vectors.
        positions: From 0 to below `positions_end`.
        positions_end: Rows of the table of sines and cosines, which is made in float64: in float32 the angle of a
            position p is off by p times its rounding.
    """
    half = x.shape[-1] // 2
    angles = np.arange(positions_end)[:, None] * BASE ** (-np.arange(half) / half)
    cos, sin = (jnp.asarray(f(angles), x.dtype)[positions][..., None, :] for f in (np.cos, np.sin))
    first, second = x[..., :half], x[..., half:]
    return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)
