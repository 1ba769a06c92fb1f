"""The two ceilings of a device, measured: operations a second of large products in each form, and bytes a second."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.accelerators.measuring import compiled, times_of
from experiments.accelerators.precision import forms


def sizes(platform: str, smoke: bool) -> tuple[int, int]:
    """(rows and columns of a matrix, numbers of an array to copy)."""
    if smoke:
        return 64, 2**14
    return (8192, 2**28) if platform != "cpu" else (1024, 2**24)


def measure(platform: str, smoke: bool) -> dict[str, float]:
    """Operations a second by form, and under "bytes" bytes a second, read and written."""
    side, numbers = sizes(platform, smoke)
    found = {}
    for name, form in forms(platform).items():
        dtype = jnp.dtype(form.compute_dtype or "float32")
        x = jnp.asarray(np.random.default_rng(0).normal(size=(side, side)) / side**0.5, dtype)
        with jax.default_matmul_precision(form.precision):
            _, program = compiled(lambda a, b: jnp.matmul(a, b, preferred_element_type=a.dtype), x, x)
        found[name] = 2 * side**3 / _seconds(lambda program=program, x=x: program(x, x))
    array = jnp.zeros((numbers,), jnp.float32)
    _, program = compiled(lambda a: a + 1, array)
    found["bytes"] = 8 * numbers / _seconds(lambda: program(array))
    return found


def _seconds(call):
    return times_of(call, 0.5)["minimum_ms"] / 1e3
