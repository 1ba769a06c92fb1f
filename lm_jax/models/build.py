"""Builds a model from a configuration."""

import functools
import inspect
import math
from typing import Any

from lm_jax import initializers
from lm_jax.cells import Cell, block, drop_connect, input_sizes, stacked
from lm_jax.config import (
    CELLS,
    MODELS,
    AttentionConfig,
    ClassifierConfig,
    EncoderConfig,
    RecurrentConfig,
    TranslatorConfig,
    UserCell,
    WindowConfig,
)
from lm_jax.encoders import Encoder, bidirectional, stacked_encoder, unidirectional
from lm_jax.errors import UserError, check_sizes, one_of
from lm_jax.layers import Dropout
from lm_jax.models.attention import attention_lm
from lm_jax.models.classifier import Classifier, classifier
from lm_jax.models.conditional import Sizes, conditional_lm, decoder_input_size
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.recurrent.model import recurrent_lm
from lm_jax.models.translator import Translator, translator
from lm_jax.models.window import WindowInits, window_lm


def from_config(config: RecurrentConfig | WindowConfig | AttentionConfig, vocab_size: int) -> LanguageModel:
    """Builds the language model that a configuration describes.

    Raises UserError for a setting outside its range, and for a user's own cell that was not given.
    """
    config.check()
    return MODELS[config.kind].make()(config, vocab_size)


def build_cell(config: RecurrentConfig) -> Cell:
    """Builds the cell, or the stack of cells, that a configuration describes."""
    check_sizes(layers=config.layers)
    hidden_sizes = [config.hidden_size] * (config.layers - 1) + [config.top_size or config.hidden_size]
    sizes = input_sizes(config.connection, config.embedding_size, hidden_sizes)
    cells = [
        drop_connect(_one_cell(config, input_size, hidden_size), config.weight_drop)
        for input_size, hidden_size in zip(sizes, hidden_sizes, strict=True)
    ]
    connection = config.connection
    if connection == "block":
        cells, connection = _blocks(config, cells), "plain"
    if len(cells) == 1 and connection == "plain":
        return cells[0]
    rate = config.dropout_layer if config.dropout_layer is not None else config.dropout or 0.0
    return stacked(cells, connection, dropout_rate=rate, dropout_kind=config.dropout_kind)


def _blocks(config, cells):
    """Returns each cell in a residual block."""
    if any(cell.input_size != cell.output_size for cell in cells):
        sizes = f"embedding_size {config.embedding_size}, hidden_size {config.hidden_size}, top_size {config.top_size}"
        names = ["embedding_size", "hidden_size", "top_size"]
        raise UserError(f"connection block needs an embedding and layers of one size, got {sizes}", names)
    return [block(cell, compute_dtype=_compute_dtype(config)) for cell in cells]


def build_encoder(config: EncoderConfig, input_size: int) -> Encoder:
    """Builds the stack of layers that read one way or both, without its embedding."""
    config.check()
    size = config.hidden_size * (2 if config.bidirectional else 1)
    sizes = input_sizes(config.connection, input_size, [size] * config.layers)
    layers = [_one_encoder(config, layer_input) for layer_input in sizes]
    if len(layers) == 1:
        return layers[0]
    return stacked_encoder(layers, config.connection, dropout_rate=config.dropout, dropout_kind=config.dropout_kind)


def _one_encoder(config, input_size):
    cell = _one_cell(config, input_size, config.hidden_size)
    return bidirectional(cell, cell) if config.bidirectional else unidirectional(cell)


def _one_cell(config, input_size, hidden_size):
    settings = config.cell
    make = settings.make() if isinstance(settings, UserCell) else CELLS[settings.kind].make()
    options = {name: value for name, value in vars(settings).items() if name not in _NOT_OPTIONS}
    dtype = _compute_dtype(config)
    if "compute_dtype" in inspect.signature(make).parameters:
        options["compute_dtype"] = dtype
    elif dtype is not None:
        raise UserError(f"compute_dtype must be left out with cell {settings.kind}, got {dtype}", ["compute_dtype"])
    options |= _initial_weights(settings, hidden_size)
    try:
        cell = _made(make, input_size, hidden_size, tuple(options.items()))
    except TypeError as error:  # of a user's own function
        raise UserError(
            f"a cell's factory takes (input_size, hidden_size), got {settings.kind}: {error}", ["cell"]
        ) from error
    if not isinstance(cell, Cell):
        raise UserError(
            f"a cell's factory must return a Cell, got {type(cell).__name__} from {settings.kind}", ["cell"]
        )
    return cell


@functools.cache
def _made(make, input_size, hidden_size, options):
    """Returns the same cell for the same options, so that a model that is built twice is traced once."""
    return make(input_size, hidden_size, **dict(options))


_NOT_OPTIONS = ("kind", "factory", "init", "init_scale")  # of a cell's settings: names, and what becomes initialisers


def _initial_weights(settings: Any, hidden_size: int) -> dict[str, initializers.Initializer]:
    """Returns the initialisers of settings that have any."""
    if not hasattr(settings, "init"):
        return {}
    if settings.init == "uniform":
        draw = initializers.uniform(settings.init_scale or 1 / math.sqrt(hidden_size))
        return {"w_x_init": draw, "w_h_init": draw, "b_init": draw}
    kinds = {"orthogonal": initializers.orthogonal, "identity": initializers.identity}
    return {"w_h_init": one_of("init", settings.init, kinds)(settings.init_scale or 1.0)}


def _compute_dtype(config):
    dtype = getattr(config, "compute_dtype", "float32")
    return None if dtype == "float32" else dtype


def recurrent(config: RecurrentConfig, vocab_size: int) -> LanguageModel:
    """Builds the recurrent language model of a configuration."""
    return recurrent_lm(
        vocab_size,
        build_cell(config),
        tied=config.tied,
        cutoffs=config.cutoffs,
        cutoff_factor=config.cutoff_factor,
        dropout_rate=config.dropout or 0.0,
        dropout_kind=config.dropout_kind,
        input_dropout=config.dropout_input,
        output_dropout=config.dropout_output,
        embedding_dropout=config.dropout_embedding,
        compute_dtype=_compute_dtype(config),
    )


def window(config: WindowConfig, vocab_size: int) -> LanguageModel:
    """Builds the window language model of a configuration."""
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
        dropout=_dropout(config),
        inits=WindowInits(**inits),
        compute_dtype=_compute_dtype(config),
    )


def attention(config: AttentionConfig, vocab_size: int) -> LanguageModel:
    """Builds the causal Transformer of a configuration."""
    return attention_lm(
        vocab_size,
        hidden_size=config.hidden_size,
        layers=config.layers,
        heads=config.heads,
        kv_heads=config.kv_heads,
        feed_forward_size=config.feed_forward_size,
        context=config.context,
        tied=config.tied,
        dropout=_dropout(config),
        compute_dtype=_compute_dtype(config),
    )


def _dropout(config):
    return Dropout(
        config.dropout or 0.0,
        config.dropout_kind,
        config.dropout_input,
        config.dropout_layer,
        config.dropout_output,
        config.dropout_embedding,
    )


def build_classifier(config: ClassifierConfig, vocab_size: int, classes: int, unk_id: int) -> Classifier:
    """Builds the classifier that a configuration describes.

    Args:
        config: The settings of the model.
        vocab_size: Entries of the vocabulary, V.
        classes: The number of labels.
        unk_id: The id that word dropout puts in the place of a word.
    """
    return classifier(
        vocab_size,
        classes,
        build_encoder(config, config.embedding_size),
        pooling=config.pooling,
        head_size=config.head_size,
        dropout_rate=config.dropout,
        dropout_kind=config.dropout_kind,
        word_dropout=config.word_dropout,
        unk_id=unk_id,
    )


def build_translator(config: TranslatorConfig, source_size: int, target_size: int, unk_id: int) -> Translator:
    """Builds the translator that a configuration describes.

    Args:
        config: The settings of the model.
        source_size: Entries of the vocabulary of the source language.
        target_size: Entries of that of the target language.
        unk_id: The id that word dropout puts in the place of a word.
    """
    encoder = build_encoder(config, config.embedding_size)
    units = config.decoder_size or config.hidden_size
    sizes = Sizes(config.embedding_size, encoder.output_size, config.embedding_size if config.tied else units)
    decoder = conditional_lm(
        target_size,
        _decoder_cell(config, decoder_input_size(config.attention, sizes, config.input_feeding), units),
        encoder.output_size,
        form=config.attention,
        input_feeding=config.input_feeding,
        embedding_size=config.embedding_size,
        forward_size=encoder.forward_size,
        tied=config.tied,
        dropout_rate=config.dropout,
        dropout_kind=config.dropout_kind,
    )
    return translator(
        source_size,
        encoder,
        decoder,
        reverse_source=config.reverse_source,
        dropout_rate=config.dropout,
        dropout_kind=config.dropout_kind,
        word_dropout=config.word_dropout,
        unk_id=unk_id,
    )


def _decoder_cell(config, input_size, units):
    sizes = input_sizes(config.connection, input_size, [units] * config.layers)
    cells = [_one_cell(config, size, units) for size in sizes]
    if len(cells) == 1:
        return cells[0]
    return stacked(cells, config.connection, dropout_rate=config.dropout, dropout_kind=config.dropout_kind)
