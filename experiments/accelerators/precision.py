"""Number types of a device, float64 on its host to hold them against, and how far they may be from it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Form(NamedTuple):
    """A way to multiply: JAX's precision of float32 products, the type of operands, and the largest error allowed.

    Errors are relative to the largest entry of an array. A product in TF32 keeps 10 bits of its operands, one in
    bfloat16 7; float32 that is secretly TF32 is a hundred times its bound away.
    """

    precision: str
    compute_dtype: str | None
    bound: float


FORMS = {
    "float32": Form("highest", None, 1e-4),
    "TF32": Form("tensorfloat32", None, 2e-2),
    "bfloat16": Form("default", "bfloat16", 8e-2),
}


def forms(platform: str) -> dict[str, Form]:
    """Those that differ on a platform: TF32 is NVIDIA's."""
    return {name: form for name, form in FORMS.items() if name != "TF32" or platform == "gpu"}


# What JAX multiplies float32 in unless it is told otherwise, by platform.
DEFAULTS = {"cpu": "float32", "gpu": "TF32", "tpu": "bfloat16"}


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """On the host, with 64 bits."""
    enable = getattr(jax, "enable_x64", None)
    if enable is None:
        from jax.experimental import enable_x64 as enable
    with enable(True), jax.default_device(jax.devices("cpu")[0]):
        yield


@contextlib.contextmanager
def on_host() -> Iterator[None]:
    """On the host, in float32: numbers that no device draws in its own way."""
    with jax.default_device(jax.devices("cpu")[0]):
        yield


def cast(tree: Any, dtype: Any) -> Any:
    """The real numbers of a tree in a type; the others as they are."""
    return jax.tree.map(lambda a: jnp.asarray(a, dtype) if np.issubdtype(a.dtype, np.floating) else a, tree)


def as_arrays(tree: Any) -> Any:
    """On the host as numpy's."""
    return jax.tree.map(np.asarray, tree)


def error(found: Any, expected: Any) -> float:
    """The largest difference, relative to the largest entry of the array that it is in; infinite where no number is.

    An array that is next to nothing beside the others, such as a gradient that is 0 but for rounding, counts as a
    thousandth of the largest of them.

    Args:
        found: a tree of arrays.
        expected: the same in float64.
    """
    return max(_errors(found, expected), default=0.0)


def _errors(found, expected):
    """That of each array, in order."""
    truth = [np.asarray(b).astype(np.float64) for b in jax.tree.leaves(expected)]
    sizes = [float(np.max(np.abs(b), initial=0.0)) for b in truth]
    least = max(sizes, default=0.0) / 1000 or 1.0
    for a, b, size in zip(jax.tree.leaves(found), truth, sizes, strict=True):
        a = np.asarray(a).astype(np.float64)
        known = a.shape == b.shape and np.isfinite(a).all()
        yield float(np.max(np.abs(a - b), initial=0.0)) / max(size, least) if known else float("inf")


def errors_by_part(found: Any, expected: Any) -> dict[str, float | None]:
    """The error of every array of a tree by its path, as `error` counts them; None where no number is."""
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(expected)]
    worst = dict(zip(paths, _errors(found, expected), strict=True))
    return {path: one if np.isfinite(one) else None for path, one in worst.items()}


def run_on_host(function: Callable, *arguments: Any) -> Any:
    """Compiles a function for the host without optimisation, for it runs once, and returns its arrays in float64."""
    with in_float64():
        given = cast(arguments, np.float64)
        return as_arrays(jax.jit(function).lower(*given).compile(LAZILY)(*given))


LAZILY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def verdict(worst: float, bound: float) -> dict[str, Any]:
    """The fields of a row of "right?"; an error that is no number is written as None."""
    return {"right": worst <= bound, "error": worst if np.isfinite(worst) else None, "bound": bound}
