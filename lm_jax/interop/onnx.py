"""Language models as ONNX files, by the jax2onnx library (extra `onnx`), for runtimes without JAX."""

import contextlib
import io

import jax
import jax.numpy as jnp

from lm_jax.errors import UserError, needing_extra
from lm_jax.interop.flat_model import flat_model
from lm_jax.models import LanguageModel
from lm_jax.types import Params


def onnx_files(model: LanguageModel, params: Params) -> dict[str, bytes]:
    """Returns step.onnx: (carry leaves ..., tokens [B]) -> (carry leaves ..., log P of every next token [B, V]).

    The weights are constants of the program; the size of the batch is left open. A carry of zeros begins a text.

    Args:
        model: The language model.
        params: Its parameters.

    Raises:
        UserError: Where the extra `onnx` is missing, for a model that does not begin with zeros, and for one with an
            operation that the library does not have.
    """
    with contextlib.redirect_stderr(io.StringIO()):
        to_onnx = _library()
    flat = flat_model(model, params)
    carry = flat.start(flat.weights, jnp.zeros(1, jnp.int32))
    if any(leaf.any() for leaf in carry):
        raise UserError("a model in an ONNX file begins with a carry of zeros, got one that does not")

    def step(*given):
        carry, log_probs = flat.step(flat.weights, list(given[:-1]), given[-1])
        return (*carry, log_probs)

    inputs = [jax.ShapeDtypeStruct(("B", *leaf.shape[1:]), leaf.dtype) for leaf in carry]
    inputs.append(jax.ShapeDtypeStruct(("B",), jnp.int32))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # it is talkative
            return {"step.onnx": to_onnx(step, inputs=inputs, model_name="step").SerializeToString()}
    except Exception as error:  # of many types; each names an operation or a shape
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise UserError(f"jax2onnx must have every operation of the model, got {reason}") from error


def _library():
    with needing_extra("onnx", "ONNX files need"):
        from jax2onnx import to_onnx  # pyright: ignore[reportMissingImports]
    return to_onnx
