"""Initialisers of weight blocks: functions (key, shape, dtype) -> array, cached so that equal settings are equal.

A gated cell keeps its k gates side by side in one [rows, k*H] array, but every gate is drawn as a block of its own
(`by_gate`): an orthogonal [H, 4H] kernel has H x H blocks whose singular values are near 0.5 instead of 1, which
would falsify any study of gradients through time.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from lm_jax.caching import cached
from lm_jax.errors import UserError
from lm_jax.types import Key


Initializer = Callable[[Key, tuple[int, ...], jnp.dtype], jax.Array]

zeros: Initializer = jax.nn.initializers.zeros
lecun_normal: Initializer = functools.cache(jax.nn.initializers.lecun_normal)()


@cached
def orthogonal(scale: float = 1.0) -> Initializer:
    """`scale` times a random orthogonal matrix: every singular value is `scale` (Saxe et al. 2014)."""
    return jax.nn.initializers.orthogonal(scale)


@cached
def identity(scale: float = 1.0) -> Initializer:
    """`scale` times the identity (Le et al. 2015, for ReLU networks)."""

    def init(key, shape, dtype=jnp.float32):
        del key
        if len(shape) != 2 or shape[0] != shape[1]:
            raise UserError(f"identity initialisation needs a square matrix, got {tuple(shape)}")
        return scale * jnp.eye(shape[0], dtype=dtype)

    return init


@cached
def uniform(bound: float) -> Initializer:
    """Uniform on (-bound, bound)."""

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def by_gate(init: Initializer, key: Key, rows: int, columns: int, gates: int) -> jax.Array:
    """Draws a weight matrix gate by gate.

    Args:
        init: the initialiser of one gate's block [rows, columns].
        key: of all blocks.
        rows: rows of a block.
        columns: columns of a block.
        gates: number of blocks.

    Returns:
        The blocks side by side, [rows, gates * columns].
    """
    return jnp.concatenate([init(k, (rows, columns), jnp.float32) for k in jax.random.split(key, gates)], axis=1)
