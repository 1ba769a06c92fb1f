"""Whole language models of torch's example `word_language_model`, to and from our `recurrent_lm`.

    encoder.weight [V, E]      embedding
    rnn.*                      the cell, or the plain stack of them: lm_jax/interop/torch_weights.py
    decoder.weight [V, H]      w_out, transposed; a model is tied where it equals encoder.weight
    decoder.bias   [V]         b_out

Token i is row i of both: the vocabulary is that of the program that trained the model.
"""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.cells import gru, lstm, rnn, stacked
from lm_jax.errors import UserError, one_of
from lm_jax.interop.linen import checked_tensors
from lm_jax.interop.safetensors_files import check_tensors
from lm_jax.interop.tensors import numpy_tensors
from lm_jax.interop.torch_weights import floats, params_from_torch, params_to_torch
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.recurrent import RecurrentLMParams, recurrent_lm


HIDDEN = "rnn.weight_hh_l0"  # [gates*H, H]: its last axis is the size of the layers


def language_model_from_torch(
    state_dict: Mapping[str, Any], cell: str = "lstm", *, nonlinearity: str = "tanh", dropout_rate: float = 0.0
) -> tuple[LanguageModel, RecurrentLMParams]:
    """Makes the model of a state dict of torch's `word_language_model`, and its parameters.

    Args:
        state_dict: arrays or torch tensors by name; the sizes are theirs.
        cell: "rnn", "gru" or "lstm".
        nonlinearity: of "rnn", "tanh" or "relu".
        dropout_rate: for further training, as in torch of the embedded inputs, between layers and of the outputs.

    Returns:
        The language model and its parameters.

    Raises:
        UserError: by name, for a tensor that is missing, that the model does not have, of another shape, or not of
            floating point numbers; and for the path of a file or a module in the place of a state dict.
    """
    check_tensors("state_dict", state_dict)
    make = one_of("cell", cell, {"rnn": rnn, "gru": gru, "lstm": lstm})
    tensors = numpy_tensors(state_dict)
    (vocab_size, input_size), (_, size) = (_matrix(tensors, name).shape for name in ("encoder.weight", HIDDEN))
    expected = {"encoder.weight": (vocab_size, input_size), "decoder.weight": (vocab_size, size)}
    outside = _read_outside(tensors, {**expected, "decoder.bias": (vocab_size,)})

    options: dict[str, Any] = {"rnn": {"nonlinearity": nonlinearity}}.get(cell, {})
    layers = len({match[1] for name in tensors if (match := re.match(r"rnn\.\w+?_l(\d+)", name))})
    cells = [make(size if k else input_size, size, **options) for k in range(layers)]
    middle = cells[0] if layers == 1 else stacked(cells, dropout_rate=dropout_rate)
    tied = np.array_equal(outside["encoder.weight"], outside["decoder.weight"])
    model = recurrent_lm(vocab_size, middle, tied=tied, dropout_rate=dropout_rate)
    return model, RecurrentLMParams(
        embedding=jnp.asarray(outside["encoder.weight"]),
        cell=params_from_torch(middle, tensors, "rnn."),
        w_out=None if tied else jnp.asarray(outside["decoder.weight"].T),
        b_out=jnp.asarray(outside["decoder.bias"]),
    )


def language_model_to_torch(model: LanguageModel, params: RecurrentLMParams) -> dict[str, np.ndarray]:
    """Returns the state dict of a `word_language_model` that is our model; of a tied one both
    matrices are the same array.

    In torch: module.load_state_dict(safetensors.torch.load_file(path)), or of {name: torch.from_numpy(array)}.

    Raises UserError for parameters that are not the model's, and for a cell that torch does not have.
    """
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    if not isinstance(shapes, RecurrentLMParams):
        raise UserError(
            f"a word_language_model is a recurrent one with one full softmax, got parameters {type(shapes).__name__}"
        )
    if jax.tree.map(jnp.shape, params) != jax.tree.map(lambda s: s.shape, shapes):
        raise UserError("the parameters must be those of the model, got others in structure or shape")
    encoder = np.array(params.embedding)
    return {
        "encoder.weight": encoder,
        **params_to_torch(params.cell, "rnn."),
        "decoder.weight": encoder if params.w_out is None else np.array(params.w_out.T, order="C"),
        "decoder.bias": np.array(params.b_out),
    }


def _matrix(tensors, name):
    if name not in tensors:
        raise UserError(f"the given parameters lack {name}, which tells the sizes of the model")
    if tensors[name].ndim != 2:
        raise UserError(f"{name} must have two axes, got the shape {tensors[name].shape}")
    return tensors[name]


def _read_outside(tensors, shapes):
    """Encoder and decoder, checked; nothing but them and the recurrent layers may be there."""
    extra = sorted(name for name in tensors.keys() - shapes.keys() if not name.startswith("rnn."))
    if extra:
        raise UserError(f"a word_language_model has an encoder, an rnn and a decoder, got {', '.join(extra)}")
    given = {name: floats(name, tensors[name]) for name in shapes.keys() & tensors.keys()}
    checked_tensors({name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}, given)
    return given
