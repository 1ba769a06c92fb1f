"""From a configuration to a model."""

import math
from typing import Any

from lm_jax import initializers
from lm_jax.cells import CELLS, Cell, drop_connect, input_sizes, stacked
from lm_jax.config import ModelConfig
from lm_jax.errors import check_sizes, one_of
from lm_jax.layers import Dropout
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.recurrent import recurrent_lm
from lm_jax.models.window import WindowInits, window_lm


def build_cell(config: ModelConfig) -> Cell:
    """The cell, or the stack of cells, that a configuration describes."""
    check_sizes(layers=config.layers)
    hidden_sizes = [config.hidden_size] * (config.layers - 1) + [config.top_size or config.hidden_size]
    sizes = input_sizes(config.connection, config.embedding_size, hidden_sizes)
    make = one_of("cell", config.cell, CELLS)
    cells = [
        drop_connect(make(input_size, hidden_size, **_cell_options(config, hidden_size)), config.weight_drop)
        for input_size, hidden_size in zip(sizes, hidden_sizes, strict=True)
    ]
    if len(cells) == 1 and config.connection == "plain":
        return cells[0]
    rate = config.dropout if config.dropout_layer is None else config.dropout_layer
    return stacked(cells, config.connection, dropout_rate=rate, dropout_kind=config.dropout_kind)


def _cell_options(config, hidden_size):
    options = {"compute_dtype": _compute_dtype(config), "recurrence": config.recurrence}
    own = {
        "rnn": {"nonlinearity": config.nonlinearity},
        "gru": {"reset": config.gru_reset},
        "lstm": {"forget_bias": config.forget_bias},
    }
    return options | _initial_weights(config, hidden_size) | own[config.cell]


def _initial_weights(config, hidden_size):
    if config.init == "uniform":
        draw = initializers.uniform(config.init_scale or 1 / math.sqrt(hidden_size))
        return {"w_x_init": draw, "w_h_init": draw, "b_init": draw}
    kinds = {"orthogonal": initializers.orthogonal, "identity": initializers.identity}
    return {"w_h_init": one_of("init", config.init, kinds)(config.init_scale or 1.0)}


def _compute_dtype(config):
    return None if config.compute_dtype == "float32" else config.compute_dtype


def from_config(config: ModelConfig, vocab_size: int) -> LanguageModel:
    """The language model that a configuration describes.

    Raises UserError for a setting outside its range, or one that the chosen model does not have.
    """
    build = one_of("model", config.model, {"recurrent": _recurrent_lm, "window": _window_lm})
    config.check()
    return build(config, vocab_size)


def _recurrent_lm(config, vocab_size):
    return recurrent_lm(
        vocab_size,
        build_cell(config),
        tied=config.tied,
        cutoffs=config.cutoffs,
        cutoff_factor=config.cutoff_factor,
        dropout_rate=config.dropout,
        dropout_kind=config.dropout_kind,
        input_dropout=config.dropout_input,
        output_dropout=config.dropout_output,
        embedding_dropout=config.dropout_embedding,
        compute_dtype=_compute_dtype(config),
    )


def _window_lm(config, vocab_size):
    inits: dict[str, Any] = _initial_weights(config, config.hidden_size)
    return window_lm(
        vocab_size,
        window=config.window,
        embedding_size=config.embedding_size,
        hidden_size=config.hidden_size,
        top_size=config.top_size,
        layers=config.layers,
        connection=config.connection,
        layer_norm=config.layer_norm,
        nonlinearity=config.nonlinearity,
        direct=config.direct,
        tied=config.tied,
        dropout=Dropout(
            config.dropout,
            config.dropout_kind,
            config.dropout_input,
            config.dropout_layer,
            config.dropout_output,
            config.dropout_embedding,
        ),
        inits=WindowInits(**inits),
        compute_dtype=_compute_dtype(config),
    )
