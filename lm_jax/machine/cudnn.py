"""The versions of CUDA and cuDNN that JAX's plugin runs with, and what is known of old ones. Imports no JAX."""

import importlib
from typing import Any


OLDEST = (8, 8)  # jax#16138: an LSTM by an older cuDNN returns wrong outputs
PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin", "jaxlib.cuda")  # packages, each with a module _versions


def cuda_version() -> tuple[int, int] | None:
    """Returns (major, minor) of the CUDA runtime, None where no plugin tells it."""
    number = _ask("cuda_runtime_get_version")
    return None if number is None else (number // 1000, number % 1000 // 10)


def cudnn_version() -> tuple[int, int, int] | None:
    """Returns (major, minor, patch) of cuDNN, None where no plugin tells it."""
    number = _ask("cudnn_get_version")
    if number is None:
        return None
    thousands = 10_000 if number >= 90_000 else 1_000  # 8.9.6 is 8906, 9.1.0 is 90100
    return number // thousands, number % thousands // 100, number % 100


def shown(version: tuple[int, ...]) -> str:
    """Returns a version as people write it, such as 9.1.0."""
    return ".".join(map(str, version))


def warning(version: tuple[int, ...] | None) -> str | None:
    """Returns a line about a cuDNN that is too old for recurrent layers; None where there is nothing to warn of."""
    if version is None or version[:2] >= OLDEST:
        return None
    return (
        f"cuDNN is {shown(version)}: before {shown(OLDEST)} it returns wrong outputs of recurrent layers (jax#16138), "
        'so leave recurrence=cudnn out, or `pip install "nvidia-cudnn-cu12>=9"`'
    )


def _ask(name: str) -> int | None:
    """The number that the first plugin which is installed gives for a library."""
    for package in PLUGINS:
        try:
            versions: Any = importlib.import_module(f"{package}._versions")
            return int(getattr(versions, name)())
        except Exception:  # not installed, another version of the plugin, or a library that does not load
            continue
    return None
