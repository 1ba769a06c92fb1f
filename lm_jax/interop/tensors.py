"""Tensors that other programs made, as numpy's arrays: of torch in any precision and place, and by any wrapper's names.

torch.bfloat16, float8_*       float32, exactly: numpy has no such types
requires_grad, on a device     the values
module., _orig_mod.            left out of names: DataParallel and torch.compile put them there
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lm_jax.errors import UserError


WRAPPERS = ("module", "_orig_mod")


def numpy_tensors(state_dict: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Returns the tensors whose names begin with a prefix, by their names without those of wrappers.

    Raises UserError, by name, for what is no tensor, has no values, or has another's name without its wrapper.
    """
    if not isinstance(state_dict, Mapping):
        raise UserError(f"a state dict has tensors by their names, got {type(state_dict).__name__}")
    tensors: dict[str, np.ndarray] = {}
    for name, tensor in state_dict.items():
        plain = unwrapped(str(name))
        if not plain.startswith(prefix):
            continue
        if plain in tensors:
            raise UserError(f"a state dict must have each tensor once, got {plain} and {name}")
        tensors[plain] = _as_numpy(str(name), tensor)
    return tensors


def unwrapped(name: str) -> str:
    """Returns the name of a tensor without the parts that wrappers of modules add."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _as_numpy(name, tensor):
    try:
        if hasattr(tensor, "detach"):  # torch's: numpy takes it without a history, from the host, in its own types only
            tensor = tensor.detach().cpu()
            if str(tensor.dtype).removeprefix("torch.").startswith(("bfloat16", "float8")):
                tensor = tensor.float()
        array = np.asarray(tensor)
    except Exception as error:  # of a tensor without values, a sparse or a quantised one: of many types
        raise UserError(f"{name} must be a tensor with its values, got {_first_line(error)}") from error
    if array.dtype == object:
        raise UserError(f"{name} must be a tensor, got {type(tensor).__name__}")
    return array


def _first_line(error):
    return f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"
