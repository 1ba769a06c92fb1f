"""Language models as StableHLO programs (`jax.export`), which run without this library; extra `export`."""

import io
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.errors import needing_extra
from lm_jax.interop import stablehlo_loader
from lm_jax.interop.flat_model import flat_model
from lm_jax.models import LanguageModel
from lm_jax.types import Params


PLATFORMS = ("cpu", "cuda", "tpu")  # that every program is lowered for


def stablehlo_files(model: LanguageModel, params: Params) -> dict[str, bytes]:
    """Returns the files of an exported model by name, without its tokens.

    start.stablehlo, step.stablehlo and score.stablehlo are programs for CPU, CUDA and TPU with the sizes of batch and
    text left open; weights.npz has the parameters; load.py reads them with jax, flatbuffers and numpy alone.

    Args:
        model: The language model.
        params: Its parameters.

    Raises:
        UserError: Where the extra `export` is missing.
    """
    _check_library()
    flat = flat_model(model, params)
    weights = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in flat.weights]

    def tokens(sizes):
        return jax.ShapeDtypeStruct(jax.export.symbolic_shape(sizes), jnp.int32)

    def carry(batch):
        return jax.eval_shape(flat.start, weights, batch)

    text, batch = tokens("t, b"), tokens("b")
    programs = {
        "start": (flat.start, (weights, batch)),
        "step": (flat.step, (weights, carry(batch), batch)),
        "score": (flat.score, (weights, carry(jax.eval_shape(lambda text: text[0], text)), text, text)),
    }
    files = {
        f"{name}.stablehlo": bytes(jax.export.export(jax.jit(function), platforms=PLATFORMS)(*given).serialize())
        for name, (function, given) in programs.items()
    }
    file = io.BytesIO()
    arrays: dict[str, Any] = {f"{number}": np.asarray(leaf) for number, leaf in enumerate(flat.weights)}
    np.savez(file, **arrays)
    loader = Path(stablehlo_loader.__file__).read_bytes()
    return files | {"weights.npz": file.getvalue(), "load.py": loader}


def _check_library():
    with needing_extra("export", "StableHLO files need"):
        import flatbuffers  # noqa: F401
