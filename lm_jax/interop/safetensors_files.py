"""Tensors by name in safetensors files, by which weights go to other programs without code in them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lm_jax.errors import UserError, needing_extra
from lm_jax.files import write_bytes
from lm_jax.interop.safetensors_reader import read_tensors


def load_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads every tensor of a file, by name.

    Of tensors that share their memory torch's `save_model` keeps one, and says in the file which other names it has:
    they are there as well.
    Types that numpy lacks, BF16 and F8, are those of ml_dtypes.
    Raises UserError for a file that is not there or no whole safetensors file.
    """
    try:
        tensors, shared = read_tensors(Path(path).expanduser())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"a file of weights must be a safetensors file, got {path}: {reason}") from error
    return tensors | {
        name: tensors[first] for name, first in shared.items() if first in tensors and name not in tensors
    }


def save_safetensors(tensors: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Writes the tensors under their names; the file takes its name when it is whole.

    The order of the arguments is that of safetensors' own `save_file`.

    Args:
        tensors: arrays by name.
        path: the file.

    Raises:
        UserError: for arguments in another order, a path that cannot be written, and where the extra `torch` is
            missing.
    """
    if not isinstance(path, str | os.PathLike):
        got = f"{type(tensors).__name__} and {type(path).__name__}"
        raise UserError(f"save_safetensors takes (tensors, path), as safetensors does, got {got}")
    check_tensors("tensors", tensors)
    library = _library()
    try:
        write_bytes(Path(path).expanduser(), to_safetensors(tensors))
    except (OSError, library.SafetensorError) as error:
        raise UserError(f"a file of weights must be writable, got {path}: {error}") from error


def to_safetensors(tensors: Mapping[str, Any]) -> bytes:
    """Returns the content of a safetensors file; raises UserError where the extra `torch` is missing."""
    return _library().numpy.save({name: np.asarray(tensor, order="C") for name, tensor in tensors.items()})


def check_tensors(name: str, tensors: Any) -> None:
    """Raises UserError for what are no tensors by name, such as the path of their file, or the module they are of."""
    if isinstance(tensors, Mapping):
        return
    if isinstance(tensors, str | os.PathLike):
        fix = f"got the path {os.fspath(tensors)!r}; read it: load_safetensors(path)"
    elif hasattr(tensors, "state_dict"):
        fix = f"got a {type(tensors).__name__}; give its state_dict()"
    else:
        fix = f"got a {type(tensors).__name__}"
    raise UserError(f"{name} must be tensors by name, {fix}")


def _library():
    with needing_extra("torch", "safetensors files need"):
        import safetensors
        import safetensors.numpy
    return safetensors
