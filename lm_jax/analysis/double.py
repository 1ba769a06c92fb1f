"""Instruments in float64, where rounding would be seen, without a change of how the rest of the program computes."""

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def precision(double: bool) -> AbstractContextManager:
    """A context in which JAX has 64-bit numbers if `double`; otherwise nothing changes."""
    if not double:
        return contextlib.nullcontext()
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # before JAX 0.8

    return enable_x64(True)


def in_precision(tree: Any, double: bool) -> Any:
    """The tree with its real numbers as float64 if `double`; to be called inside the context."""

    def leaf(a):
        return jnp.asarray(np.asarray(a), np.float64) if jnp.issubdtype(jnp.result_type(a), jnp.floating) else a

    return jax.tree.map(leaf, tree) if double else tree
