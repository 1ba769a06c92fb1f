"""Checks of what is asked of a model: ids where a text may be given by mistake, keys where a seed may."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.errors import UserError


def check_ids(name: str, ids: Any) -> None:
    """Raises UserError for a text, or for numbers that are no ids: a model knows no characters.

    Args:
        name: of the argument.
        ids: whole numbers [N]; none at all are ids too.
    """
    if isinstance(ids, str | bytes):
        got = f"the text {ids[:40]!r}; give vocabulary.encode(text), or ask a run: lm_jax.load(run)"
        raise UserError(f"{name} must be ids, got {got}", [name])
    array = np.asarray(ids)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise UserError(f"{name} must be ids, whole numbers in one row, got {array.dtype} {list(array.shape)}", [name])


def check_key(key: Any) -> None:
    """Raises UserError for what is no key of JAX's random numbers, such as a seed."""
    dtype = getattr(key, "dtype", None)
    if dtype is not None and (jnp.issubdtype(dtype, jax.dtypes.prng_key) or (dtype == jnp.uint32 and key.ndim == 1)):
        return
    seed = key if isinstance(key, int) else 0
    raise UserError(f"key must be a key of JAX, got {str(key)[:40]}; give jax.random.key({seed})", ["key"])
