"""A check of keys, where a seed may be given by mistake."""

from typing import Any

import jax
import jax.numpy as jnp

from lm_jax.errors import UserError


def check_key(key: Any) -> None:
    """Raises UserError for what is no key of JAX's random numbers, such as a seed."""
    dtype = getattr(key, "dtype", None)
    if dtype is not None and (jnp.issubdtype(dtype, jax.dtypes.prng_key) or (dtype == jnp.uint32 and key.ndim == 1)):
        return
    seed = key if isinstance(key, int) else 0
    raise UserError(f"key must be a key of JAX, got {str(key)[:40]}; give jax.random.key({seed})", ["key"])
