"""What a new run begins with instead of random numbers: word vectors, or parts of a language model."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.config import TrainConfig
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.data.word_vectors import WordVectors
from lm_jax.errors import UserError
from lm_jax.tasks.base import Pretrained
from lm_jax.types import Params


def with_vectors(params: Any, vectors: WordVectors) -> Any:
    """Returns parameters whose embedding has the vectors; words without one keep their random ones."""
    return params.replace(embedding=params.embedding.at[vectors.ids].set(vectors.vectors))


def with_run(config: Any, vocabulary: Vocabulary, params: Any, pretrained: Pretrained) -> Any:
    """Returns parameters whose embedding and lowest layers are those of a recurrent language model.

    Of a bidirectional layer the forward half takes the language model's; layers follow as long as their shapes are
    the same, which above a bidirectional layer they are not.

    Args:
        config: the settings of the encoder.
        vocabulary: of the new run.
        params: a classifier's: with `embedding` and `encoder`.
        pretrained: the run of the language model.

    Raises:
        UserError: for a run of another kind, level or size.
    """
    _check(config, vocabulary, params, pretrained)
    ids = pretrained.vocabulary.ids
    pairs = [(new, ids[token]) for new, token in enumerate(vocabulary.tokens) if token in ids]
    new, old = (np.asarray(column) for column in zip(*pairs, strict=True))
    embedding = params.embedding.at[new].set(pretrained.params.embedding[old])
    return params.replace(embedding=embedding, encoder=_with_layers(params.encoder, cells_of(pretrained.params)))


def cells_of(params: Any) -> tuple[Params, ...]:
    """Returns the parameters of the cells of a language model, the lowest first."""
    return getattr(params.cell, "cells", (params.cell,))


def _with_layers(encoder, cells):
    """Encoder parameters: of one layer, of a plain stack (a tuple), or of a stack with gates."""
    if hasattr(encoder, "layers"):
        return encoder.replace(layers=with_lower_layers(encoder.layers, cells))
    if isinstance(encoder, tuple):
        return with_lower_layers(encoder, cells)
    return with_lower_layers((encoder,), cells)[0]


def with_lower_layers(layers: Sequence[Any], cells: Sequence[Params]) -> tuple[Any, ...]:
    """Returns the parameters of layers with those of cells in the lowest, as long as the shapes are the same."""
    taken = list(layers)
    for number, (layer, cell) in enumerate(zip(layers, cells, strict=False)):
        forward = getattr(layer, "forward", layer)
        if _shapes(forward) != _shapes(cell):
            break
        taken[number] = layer.replace(forward=cell) if hasattr(layer, "forward") else cell
    return tuple(taken)


def _shapes(tree):
    return [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)], jax.tree.structure(tree)


def _check(config, vocabulary, params: Params, pretrained):
    names, path = ["init_from"], pretrained.path
    language_model = isinstance(pretrained.config, TrainConfig)
    of_a_cell = language_model and getattr(pretrained.config.model, "cell", None) is not None
    if not of_a_cell or getattr(pretrained.params, "embedding", None) is None:
        raise UserError(f"init_from must be the run of a recurrent language model, got another: {path}", names)
    if pretrained.vocabulary.level != vocabulary.level:
        raise UserError(
            f"init_from must have tokens of the same level, {vocabulary.level}, got {pretrained.vocabulary.level} "
            f"in {path}",
            names,
        )
    other = pretrained.config.model
    for name in ("cell", "embedding_size", "hidden_size"):
        mine, theirs = getattr(config, name), getattr(other, name)
        mine, theirs = getattr(mine, "kind", mine), getattr(theirs, "kind", theirs)
        if mine != theirs:
            raise UserError(f"{name} must be that of init_from, {theirs}, got {mine}", [name, "init_from"])
