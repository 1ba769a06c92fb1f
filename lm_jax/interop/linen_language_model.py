"""Whole recurrent language models as parameters of Flax linen modules, by name.

embed.embedding [V, E]      of flax.linen.Embed
rnn_0, rnn_1, ...           a cell each, the lowest first: lm_jax/interop/linen.py
dense.kernel [H, V]         of flax.linen.Dense; absent in a tied model
dense.bias   [V]
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.cells import gru, lstm, rnn, stacked
from lm_jax.cells.stack import StackParams
from lm_jax.errors import UserError
from lm_jax.interop.linen import params_from_linen, params_to_linen
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.recurrent import RecurrentLMParams, recurrent_lm


EMBEDDING = "embed.embedding"
INPUTS = {"i.kernel": rnn, "ir.kernel": gru, "ii.kernel": lstm}  # input weights [E, H] that tell the kind of cell


def language_model_to_linen(params: RecurrentLMParams) -> dict[str, np.ndarray]:
    """Returns the parameters of linen modules by their names, joined by points.

    Raises UserError for a model without one full softmax, a stack with gates, and a cell that linen does not have.
    """
    if not isinstance(params, RecurrentLMParams):
        raise UserError(f"a recurrent model with one full softmax is converted, got parameters {type(params).__name__}")
    tensors = {EMBEDDING: params.embedding}
    for number, cell in enumerate(_cells(params.cell)):
        for part, leaves in params_to_linen(cell).items():
            tensors |= {f"rnn_{number}.{part}.{leaf}": array for leaf, array in leaves.items()}
    if params.w_out is not None:
        tensors["dense.kernel"] = params.w_out
    return {name: np.array(tensor, order="C") for name, tensor in {**tensors, "dense.bias": params.b_out}.items()}


def language_model_from_linen(
    tensors: Mapping[str, Any], *, nonlinearity: str = "tanh"
) -> tuple[LanguageModel, RecurrentLMParams]:
    """Returns the model of what `language_model_to_linen` gave, and its parameters. nonlinearity: of a simple cell.

    Raises UserError, by name, for a tensor that is missing, that the model does not have, or of another shape.
    """
    layers, rest = _by_layer(tensors)
    for name in (EMBEDDING, "dense.bias"):
        if name not in rest:
            raise UserError(f"the given parameters lack {name}")
    cells = [_cell(number, layer, nonlinearity) for number, layer in enumerate(layers)]
    params = [_cell_params(number, *pair) for number, pair in enumerate(zip(cells, layers, strict=True))]
    vocab_size, kernel = rest[EMBEDDING].shape[0], rest.get("dense.kernel")
    middle = cells[0] if len(cells) == 1 else stacked(cells)
    model = recurrent_lm(vocab_size, middle, tied=kernel is None)
    expected = jax.eval_shape(model.init, jax.random.key(0))
    inner = params[0] if len(cells) == 1 else expected.cell.replace(cells=tuple(params))
    found: Any = RecurrentLMParams(jnp.asarray(rest[EMBEDDING]), inner, kernel, jnp.asarray(rest["dense.bias"]))
    for name, want, got in (
        (EMBEDDING, expected.embedding, found.embedding),
        ("dense.kernel", expected.w_out, found.w_out),
        ("dense.bias", expected.b_out, found.b_out),
    ):
        if want is not None and want.shape != jnp.shape(got):
            raise UserError(f"{name} must have the shape {want.shape}, got {jnp.shape(got)}")
    return model, jax.tree.map(jnp.asarray, found)


def _cells(params):
    if not isinstance(params, StackParams):
        return (params,)
    if any(gate is not None for gate in params.gates):
        raise UserError("linen stacks layers without highway connections, got parameters of a stack with gates")
    return params.cells


def _by_layer(tensors):
    """The tensors of each layer by part and leaf, and all others; raises UserError for names of nothing."""
    layers: dict[int, dict[str, dict[str, Any]]] = {}
    rest = {}
    for name, tensor in tensors.items():
        layer, _, path = name.partition(".")
        number, (part, _, leaf) = layer.removeprefix("rnn_"), path.partition(".")
        if layer != number and number.isdecimal() and leaf:
            layers.setdefault(int(number), {}).setdefault(part, {})[leaf] = np.asarray(tensor)
        elif name in (EMBEDDING, "dense.kernel", "dense.bias"):
            rest[name] = np.asarray(tensor)
        else:
            raise UserError(f"a linen model has embed, rnn_0, rnn_1, ... and dense, got {name}")
    if sorted(layers) != list(range(len(layers))) or not layers:
        raise UserError(f"a linen model has the layers rnn_0, rnn_1, ..., got {sorted(layers)}")
    return [layers[number] for number in range(len(layers))], rest


def _cell(number, layer, nonlinearity):
    for name, make in INPUTS.items():
        part, leaf = name.split(".")
        weights = layer.get(part, {}).get(leaf)
        if weights is not None and weights.ndim == 2:
            return make(*weights.shape, **({"nonlinearity": nonlinearity} if make is rnn else {}))
    raise UserError(f"rnn_{number} must be a cell with one of {', '.join(INPUTS)}, got {', '.join(sorted(layer))}")


def _cell_params(number, cell, layer):
    try:
        return params_from_linen(cell, layer)
    except UserError as error:
        raise UserError(f"rnn_{number}: {error}") from error
