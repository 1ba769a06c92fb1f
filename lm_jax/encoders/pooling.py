"""Pooling: one vector of a sequence, under the same mask as its encoder.

Shapes: ys [T, *B, H], mask [T, *B] (False is padding), pooled [*B, H].
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from lm_jax.encoders.base import check_mask, masked
from lm_jax.types import Mask


def pool_last(ys: Float[Array, "T *B H"], mask: Mask | None = None) -> Float[Array, "*B H"]:
    """Returns the output at a row's last valid step; zeros for a row without one.

    Of a bidirectional encoder the backward half has read one step there: see `pool_ends`.
    """
    valid = _valid(ys, mask)
    left = jnp.flip(jnp.cumsum(jnp.flip(valid, axis=0), axis=0), axis=0)
    return jnp.sum(masked(valid & (left == 1), ys), axis=0)


def pool_first(ys: Float[Array, "T *B H"], mask: Mask | None = None) -> Float[Array, "*B H"]:
    """Returns the output at a row's first valid step; zeros for a row without one."""
    valid = _valid(ys, mask)
    return jnp.sum(masked(valid & (jnp.cumsum(valid, axis=0) == 1), ys), axis=0)


def pool_ends(
    ys: Float[Array, "T *B H"], mask: Mask | None = None, forward_size: int | None = None
) -> Float[Array, "*B H"]:
    """Takes the last output of each direction, when it has read everything.

    Args:
        ys: outputs over time.
        mask: False is padding.
        forward_size: features of the forward direction, the first ones; the others are of the backward direction,
            whose last output is at the first step. Default: all are forward.

    Returns:
        The vectors; zeros for a row without a valid step.
    """
    size = ys.shape[-1] if forward_size is None else forward_size
    return jnp.concatenate([pool_last(ys[..., :size], mask), pool_first(ys[..., size:], mask)], axis=-1)


def pool_mean(ys: Float[Array, "T *B H"], mask: Mask | None = None) -> Float[Array, "*B H"]:
    """Returns the mean of a row's outputs over its valid steps; zeros for a row without one."""
    valid = _valid(ys, mask)
    return jnp.sum(masked(valid, ys), axis=0) / jnp.maximum(jnp.sum(valid, axis=0), 1)[..., None]


def pool_max(ys: Float[Array, "T *B H"], mask: Mask | None = None) -> Float[Array, "*B H"]:
    """Returns the largest output of every feature over a row's valid steps; zeros for a row without one."""
    valid = _valid(ys, mask)
    largest = jnp.max(jnp.where(valid[..., None], ys, -jnp.inf), axis=0, initial=-jnp.inf)
    return jnp.where(jnp.any(valid, axis=0)[..., None], largest, 0.0)


POOLING: dict[str, Callable[..., Array]] = {"last": pool_last, "mean": pool_mean, "max": pool_max}


def _valid(ys, mask):
    check_mask(mask, ys)
    return jnp.ones(ys.shape[:-1], bool) if mask is None else jnp.asarray(mask)
