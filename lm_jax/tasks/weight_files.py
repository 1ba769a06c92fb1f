"""Weights of other programs as what a run begins with: a file of tensors and a file of words."""

import dataclasses
from pathlib import Path
from typing import Any

from lm_jax.config import DataConfig, RecurrentConfig, TrainConfig
from lm_jax.config.cells import CELLS, RNNConfig
from lm_jax.data.vocabulary_files import read_vocabulary_file
from lm_jax.errors import UserError
from lm_jax.tasks.base import Pretrained


GATES = {1: "rnn", 3: "gru", 4: "lstm"}  # blocks of the recurrent weights [H, kH]


def read_weight_file(
    path: str | Path, vocabulary: str | Path | None, nonlinearity: str = "tanh", program: str | None = None
) -> Pretrained:
    """Reads a recurrent language model of torch's example or of Flax linen.

    Args:
        path: a safetensors file.
        vocabulary: the file of its words, as `read_vocabulary_file` takes it.
        nonlinearity: of a simple recurrent network, which no weights tell.
        program: "torch" or "linen"; default: as the names of the tensors say.

    Raises:
        UserError: for no such file, a model of another kind, and a vocabulary of another size.
    """
    from lm_jax.interop.linen_language_model import EMBEDDING, language_model_from_linen
    from lm_jax.interop.safetensors_files import load_safetensors
    from lm_jax.interop.torch_language_model import language_model_from_torch

    if vocabulary is None:
        raise UserError(f"weights need their words: give vocabulary, got none for {path}", ["vocabulary"])
    words = read_vocabulary_file(vocabulary)
    tensors = load_safetensors(Path(path).expanduser())
    if program is None:
        program = "linen" if EMBEDDING in tensors else "torch"
    if program == "linen":
        _, params = language_model_from_linen(tensors, nonlinearity=nonlinearity)
    else:
        kind = _torch_kind(tensors)
        options: Any = {"nonlinearity": nonlinearity} if kind == "rnn" else {}
        _, params = language_model_from_torch(tensors, kind, **options)
    if len(words) != len(params.embedding):
        raise UserError(
            f"a vocabulary has a word for every row of the embedding, {len(params.embedding):,}, "
            f"got {len(words):,} in {vocabulary}",
            ["vocabulary"],
        )
    model = _model_config(params, nonlinearity)
    level: Any = words.level
    config = TrainConfig(data=DataConfig(level=level), model=model)
    return Pretrained(str(path), config, words, params)


def _torch_kind(tensors):
    shape = getattr(tensors.get("rnn.weight_hh_l0"), "shape", ())
    kind = GATES.get(shape[0] // shape[1]) if len(shape) == 2 and shape[1] else None
    if kind is None:
        raise UserError(
            "a word_language_model has rnn.weight_hh_l0 [gates * H, H] with 1, 3 or 4 gates, got "
            f"{shape if shape else 'none'}"
        )
    return kind


def _model_config(params, nonlinearity):
    cells = getattr(params.cell, "cells", (params.cell,))
    sizes = [cell.w_h.shape[0] for cell in cells]
    if any(size != sizes[0] for size in sizes[:-1]):
        raise UserError(f"layers below the top have one size, got {sizes}")
    kind = GATES[cells[0].w_h.shape[1] // sizes[0]]
    cell = RNNConfig(nonlinearity=nonlinearity) if kind == "rnn" else CELLS[kind].defaults(kind)
    return dataclasses.replace(
        RecurrentConfig(cell=cell),
        hidden_size=sizes[0],
        top_size=None if sizes[-1] == sizes[0] else sizes[-1],
        embedding_size=params.embedding.shape[1],
        layers=len(cells),
        tied=params.w_out is None,
    )
