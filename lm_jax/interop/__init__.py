"""Other programs' cells, models and files. Every part is optional, and loads its libraries at first use."""

from typing import TYPE_CHECKING

from lm_jax.lazy import lazy_names


if TYPE_CHECKING:
    from lm_jax.interop.arpa_reader import read_arpa
    from lm_jax.interop.arpa_writer import write_arpa
    from lm_jax.interop.linen import as_linen, params_from_linen, params_to_linen
    from lm_jax.interop.nnx import as_nnx, params_from_nnx, params_to_nnx
    from lm_jax.interop.safetensors_files import load_safetensors, save_safetensors
    from lm_jax.interop.tensorboard import TensorBoardListener
    from lm_jax.interop.torch_language_model import language_model_from_torch, language_model_to_torch
    from lm_jax.interop.torch_weights import params_from_torch, params_to_torch

__all__ = [
    "TensorBoardListener",
    "as_linen",
    "as_nnx",
    "language_model_from_torch",
    "language_model_to_torch",
    "load_safetensors",
    "params_from_linen",
    "params_from_nnx",
    "params_from_torch",
    "params_to_linen",
    "params_to_nnx",
    "params_to_torch",
    "read_arpa",
    "save_safetensors",
    "write_arpa",
]

_HOMES = {
    "TensorBoardListener": "lm_jax.interop.tensorboard",
    "as_linen": "lm_jax.interop.linen",
    "as_nnx": "lm_jax.interop.nnx",
    "language_model_from_torch": "lm_jax.interop.torch_language_model",
    "language_model_to_torch": "lm_jax.interop.torch_language_model",
    "load_safetensors": "lm_jax.interop.safetensors_files",
    "params_from_linen": "lm_jax.interop.linen",
    "params_from_nnx": "lm_jax.interop.nnx",
    "params_from_torch": "lm_jax.interop.torch_weights",
    "params_to_linen": "lm_jax.interop.linen",
    "params_to_nnx": "lm_jax.interop.nnx",
    "params_to_torch": "lm_jax.interop.torch_weights",
    "read_arpa": "lm_jax.interop.arpa_reader",
    "save_safetensors": "lm_jax.interop.safetensors_files",
    "write_arpa": "lm_jax.interop.arpa_writer",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
