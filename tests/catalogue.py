"""Every cell and every language model at toy size: the one list that all laws run over.

To put a new cell or model under the laws, add one line here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import (
    Cell,
    block,
    cornn,
    diagonal_gru,
    diagonal_lstm,
    drop_connect,
    gated_deltanet,
    gru,
    lru,
    lstm,
    mingru,
    minlstm,
    mlstm,
    rglru,
    rnn,
    scan_unroll,
    slstm,
    stacked,
)
from lm_jax.layers import Dropout
from lm_jax.models.attention import attention_lm
from lm_jax.models.build import from_config
from lm_jax.models.caches.continuous import continuous_cache
from lm_jax.models.caches.unigram import unigram_cache
from lm_jax.models.conditional import Conditioned, Sizes, conditional_lm, decoder_input_size
from lm_jax.models.interpolation import mixture
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.ngram import estimate
from lm_jax.models.ngram.model import ngram_lm
from lm_jax.models.recurrent import recurrent_lm
from lm_jax.models.window import window_lm
from tests.runs.toy import model_config


VOCAB_SIZE = 5


class Entry(NamedTuple):
    """One cell or model under the laws."""

    subject: Cell | LanguageModel
    make_params: Callable[[jax.Array], Any]
    tolerance: float  # largest difference allowed, relative to the largest entry
    drops: bool  # a key changes what `unroll` returns
    smooth: bool  # finite differences mean something: nothing is rounded to bfloat16
    uniform: bool  # a language model that is the uniform one where all parameters are 0: a cache is not
    differentiable: bool = True  # tables of counts are estimated, and have no gradient


def entry(subject: Cell | LanguageModel, tolerance=1e-5, drops=False, smooth=True, uniform=True) -> Entry:
    """An entry whose parameters, biases too, are drawn from a normal distribution: `init` leaves biases at zero,
    and a law that holds only where they vanish would not be noticed."""

    def make_params(key):
        generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        shapes = jax.eval_shape(subject.init, key)
        return jax.tree.map(lambda s: jnp.asarray(0.5 * generator.normal(size=s.shape), s.dtype), shapes)

    return Entry(subject, make_params, tolerance, drops, smooth, uniform)


# Operands rounded to bfloat16 have 8 bits: where a sum in another order rounds to the other neighbour, results
# differ by some 2^-8.
BFLOAT16 = {"tolerance": 2e-2, "smooth": False}


def running_mean(input_size: int, hidden_size: int) -> Cell:
    """A cell as a user would write one: y_t is the mean so far of tanh(x W); where the sum starts is learnt."""

    def init(key):
        return {"w": jax.random.normal(key, (input_size, hidden_size)), "start": jnp.zeros((hidden_size,))}

    def initial_carry(params, batch_shape):
        start = jnp.broadcast_to(params["start"], (*batch_shape, hidden_size))
        return {"sum": start, "count": jnp.ones(batch_shape, params["start"].dtype)}

    def step(params, carry, x):
        total, count = carry["sum"] + jnp.tanh(x @ params["w"]), carry["count"] + 1
        return {"sum": total, "count": count}, total / count[..., None]

    return Cell(init, initial_carry, step, scan_unroll(initial_carry, step), input_size, hidden_size)


_dropout = {"dropout_rate": 0.5}
_locked = {"dropout_rate": 0.5, "dropout_kind": "locked"}
_scan, _fused = {"recurrence": "scan"}, {"recurrence": "fused"}
_associative, _chunkwise = {"recurrence": "associative"}, {"recurrence": "chunkwise"}

CELLS: dict[str, Entry] = {
    "rnn_tanh": entry(rnn(3, 4, **_scan)),
    "rnn_relu": entry(rnn(3, 4, nonlinearity="relu", **_scan)),
    "rnn_sigmoid": entry(rnn(3, 4, nonlinearity="sigmoid", **_scan)),
    "rnn_identity": entry(rnn(3, 4, nonlinearity="identity", **_scan)),
    "gru_after": entry(gru(3, 4, **_scan)),
    "gru_before": entry(gru(3, 4, reset="before", **_scan)),
    "lstm": entry(lstm(3, 4, **_scan)),
    "lstm_bfloat16": entry(lstm(3, 4, compute_dtype="bfloat16", **_scan), **BFLOAT16),
    "gru_before_bfloat16": entry(gru(3, 4, reset="before", compute_dtype="bfloat16", **_scan), **BFLOAT16),
    "stack_plain": entry(stacked([lstm(3, 5, **_scan), gru(5, 4, **_scan)])),
    "stack_residual": entry(stacked([lstm(3, 4, **_scan), gru(4, 4, **_scan), rnn(4, 4, **_scan)], "residual")),
    "stack_highway": entry(stacked([gru(4, 4, **_scan), lstm(4, 4, **_scan)], "highway")),
    "stack_dense": entry(stacked([lstm(3, 4, **_scan), gru(7, 4, **_scan), rnn(11, 4, **_scan)], "dense")),
    "stack_dropout": entry(stacked([rnn(3, 4, **_scan), lstm(4, 4, **_scan)], **_dropout), drops=True),
    "stack_locked": entry(stacked([rnn(3, 4, **_scan), gru(4, 4, **_scan)], "highway", **_locked), drops=True),
    "drop_connect": entry(
        stacked([drop_connect(gru(3, 4, **_scan), 0.5), drop_connect(lstm(4, 4, **_scan), 0.5)]), drops=True
    ),
    "rnn_tanh_fused": entry(rnn(3, 4, **_fused)),
    "rnn_relu_fused": entry(rnn(3, 4, nonlinearity="relu", **_fused)),
    "gru_after_fused": entry(gru(3, 4, **_fused)),
    "gru_before_fused": entry(gru(3, 4, reset="before", **_fused)),
    "gru_fused_bfloat16": entry(gru(3, 4, compute_dtype="bfloat16", **_fused), **BFLOAT16),
    "lstm_fused": entry(lstm(3, 4, **_fused)),
    "lstm_fused_bfloat16": entry(lstm(3, 4, compute_dtype="bfloat16", **_fused), **BFLOAT16),
    "stack_fused": entry(
        stacked([drop_connect(lstm(3, 4, **_fused), 0.5), gru(4, 4, **_fused)], "highway", **_dropout), drops=True
    ),
    "mingru": entry(mingru(3, 4, **_scan)),
    "mingru_associative": entry(mingru(3, 4, **_associative)),
    "minlstm": entry(minlstm(3, 4, **_scan)),
    "minlstm_associative": entry(minlstm(3, 4, **_associative)),
    "lru": entry(lru(3, 4, **_scan)),
    "lru_associative": entry(lru(3, 4, **_associative)),
    "rglru": entry(rglru(3, 4, **_scan)),
    "rglru_associative": entry(rglru(3, 4, **_associative)),
    "rglru_convolution": entry(rglru(4, 4, convolution=3, **_associative)),
    "slstm": entry(slstm(3, 4)),
    "slstm_heads_exponential": entry(slstm(3, 4, heads=2, forget="exponential")),
    "mlstm": entry(mlstm(3, 4, **_scan)),
    "mlstm_chunkwise": entry(mlstm(3, 4, **_chunkwise)),
    "gated_deltanet": entry(gated_deltanet(3, 4, **_scan)),
    "gated_deltanet_chunkwise": entry(gated_deltanet(3, 4, **_chunkwise)),
    "cornn": entry(cornn(3, 4)),
    "diagonal_gru": entry(diagonal_gru(3, 4)),
    "diagonal_lstm": entry(diagonal_lstm(3, 4)),
    "stack_blocks": entry(stacked([block(lru(3, 4, **_associative)), block(slstm(3, 4)), block(mlstm(3, 4, heads=2))])),
    "running_mean": entry(running_mean(3, 4)),
    "stack_of_user_cells": entry(stacked([running_mean(3, 4), lstm(4, 4)], "residual")),
}


def _around(name: str, **options) -> Entry:
    cell = CELLS[name]
    drops = cell.drops or bool({"dropout_rate", "embedding_dropout"} & set(options))
    model, uniform = recurrent_lm(VOCAB_SIZE, cell.subject, **options), "cutoffs" not in options
    return entry(model, cell.tolerance, drops, cell.smooth, uniform)


def _window(window: int, **options) -> Entry:
    """Without dropout or with one rate for all."""
    settings = BFLOAT16 if "compute_dtype" in options else {}
    model = window_lm(VOCAB_SIZE, window=window, **{"embedding_size": 3, "hidden_size": 4, **options})
    return entry(model, drops="dropout" in options, **settings)


def _attention(**options) -> Entry:
    settings = BFLOAT16 if "compute_dtype" in options else {}
    model = attention_lm(VOCAB_SIZE, **{"hidden_size": 8, "heads": 2, "layers": 1, "feed_forward_size": 6, **options})
    return entry(model, drops="dropout" in options, **settings)


def _configured(**settings) -> Entry:
    config = model_config(**{"hidden_size": 4, "embedding_size": 3, **settings})
    facts = BFLOAT16 if config.compute_dtype == "bfloat16" else {}
    return entry(
        from_config(config, VOCAB_SIZE), drops=bool(config.dropout), uniform=not getattr(config, "cutoffs", ()), **facts
    )


# 64 bytes hold three rows of logits, so that `score` works in pieces, the last of them a padded one.
_chunked = {"logits_limit": 64}

MODELS: dict[str, Entry] = {
    "rnn": _around("rnn_tanh"),
    "rnn_chunked": _around("rnn_relu", **_chunked),
    "gru": _around("gru_after"),
    "gru_dropout": _around("gru_before", **_dropout),
    "lstm": _around("lstm"),
    "lstm_bfloat16": _around("lstm_bfloat16", compute_dtype="bfloat16"),
    "plain_locked": _around("stack_plain", **_locked),
    "residual_embedding_dropout": _around("stack_residual", embedding_dropout=0.5),
    "highway_tied": _around("stack_highway", tied=True),
    "highway_tied_chunked_dropout": _around("stack_highway", tied=True, **_chunked, **_dropout),
    "running_mean": _around("running_mean"),
    "config_gru": _configured(
        cell="gru", gru_reset="before", layers=2, connection="residual", embedding_size=4, tied=True
    ),
    "config_rnn": _configured(
        cell="rnn", nonlinearity="relu", layers=3, connection="dense", dropout=0.5, dropout_kind="locked"
    ),
    "config_fused": _configured(layers=2, weight_drop=0.5, recurrence="fused", dropout=0.5),
    "adaptive": _around("lstm", cutoffs=(2, 3), cutoff_factor=2),
    "adaptive_chunked": _around("gru_after", cutoffs=(3,), **_chunked),
    "adaptive_tied_dropout": _around("stack_highway", tied=True, cutoffs=(1, 3), **_dropout),
    "adaptive_bfloat16": _around("lstm_bfloat16", cutoffs=(2,), compute_dtype="bfloat16"),
    "config_adaptive": _configured(
        cell="gru", tied=True, embedding_size=4, cutoffs=(1, 2), cutoff_factor=3, dropout=0.5, dropout_kind="locked"
    ),
    "blocks": _around("stack_blocks"),
    "config_deltanet": _configured(cell="gated_deltanet", heads=2, layers=2, connection="block", embedding_size=4),
    "config_lstm": _configured(layers=2, connection="highway", compute_dtype="bfloat16"),
    "window": _window(3),
    "window_of_one": _window(1, direct=True, tied=True, hidden_size=3),
    "window_longer_than_the_text": _window(9, direct=True, **_chunked),
    "window_deep": _window(3, layers=3, connection="residual", layer_norm=True, tied=True, embedding_size=4),
    "window_dropout": _window(
        2, layers=2, top_size=3, direct=True, nonlinearity="relu", layer_norm=True, dropout=Dropout(0.5)
    ),
    "window_locked": _window(
        4, layers=3, connection="residual", nonlinearity="sigmoid", dropout=Dropout(0.5, "locked")
    ),
    "window_bfloat16": _window(3, layers=2, direct=True, compute_dtype="bfloat16"),
    "config_window": _configured(model="window", window=3, layers=2, direct=True, layer_norm=True, dropout=0.5),
    "attention": _attention(context=3, kv_heads=1),
    "attention_longer_than_the_text": _attention(context=20, tied=True, **_chunked),
    "attention_dropout": _attention(context=2, layers=2, heads=4, kv_heads=2, dropout=Dropout(0.5)),
    "attention_locked": _attention(context=4, dropout=Dropout(0.5, "locked"), tied=True),
    "attention_bfloat16": _attention(context=3, layers=2, compute_dtype="bfloat16"),
}

# Caches shorter and longer than the sequences of the laws.
CACHES: dict[str, Entry] = {
    "unigram_cache": entry(unigram_cache(VOCAB_SIZE, 3), uniform=False),
    "unigram_cache_long": entry(unigram_cache(VOCAB_SIZE, 20), uniform=False),
    "continuous_cache": entry(continuous_cache(MODELS["lstm"].subject, 2), uniform=False),
    "continuous_cache_dropout": entry(continuous_cache(MODELS["gru_dropout"].subject, 20), drops=True, uniform=False),
}
MIXTURES: dict[str, Entry] = {
    "mixture": entry(mixture([MODELS["rnn"].subject, MODELS["plain_locked"].subject]), drops=True),
    "mixture_of_mixtures": entry(
        mixture([mixture([MODELS["gru_dropout"].subject, CACHES["unigram_cache"].subject]), MODELS["rnn"].subject]),
        drops=True,
        uniform=False,
    ),
}


def _ngram(order: int, method: str) -> Entry:
    """Counts of a random text; type 4 never occurs. Nothing to differentiate: integers, and tables of logarithms."""

    def make_params(key):
        tokens = np.asarray(jax.random.randint(key, (60,), 0, VOCAB_SIZE - 1))
        held_out = np.arange(20) % VOCAB_SIZE
        estimated = estimate(tokens, order, VOCAB_SIZE, 0, method=method, held_out=held_out)
        return jax.tree.map(jnp.asarray, estimated.params)

    return Entry(
        ngram_lm(order, VOCAB_SIZE, 0), make_params, 1e-5, False, smooth=False, uniform=False, differentiable=False
    )


def _conditioned(form: str, make_cell: Callable[..., Cell], **options) -> Entry:
    """A decoder with one memory for all rows, of six positions of which four are real."""
    feeding = options.get("input_feeding", True)
    cell = make_cell(decoder_input_size(form, Sizes(3, 4, 3), feeding), 3, **_scan)
    model = conditional_lm(VOCAB_SIZE, cell, 4, form=form, embedding_size=3, readout_size=3, forward_size=2, **options)
    model, mask = model.model, np.array([1, 1, 1, 0, 1, 0], bool)

    def init(key):
        return Conditioned(model.init(key), jnp.zeros((len(mask), 4), jnp.float32))

    drawn = entry(model._replace(init=init), drops="dropout_rate" in options)
    return drawn._replace(make_params=lambda key: drawn.make_params(key).replace(mask=jnp.asarray(mask)))


CONDITIONED: dict[str, Entry] = {
    "plain_decoder": _conditioned("plain", gru),
    "additive_decoder": _conditioned("additive", lstm, **_dropout),
    "multiplicative_decoder": _conditioned("multiplicative", gru, **_chunked),
    "late_decoder": _conditioned("multiplicative", lstm, input_feeding=False, tied=True, **_locked),
}
NGRAMS: dict[str, Entry] = {
    "bigram_katz": _ngram(2, "katz"),
    "trigram_kneser_ney": _ngram(3, "modified-kneser-ney"),
}
MODELS |= CACHES | MIXTURES | NGRAMS | CONDITIONED

# Close relatives of others, and the longest to run operation by operation.
SLOW = ("unigram_cache_long", "continuous_cache_dropout", "mixture_of_mixtures", "trigram_kneser_ney", "config_fused")
SLOW += ("window_locked", "window_bfloat16", "config_gru", "config_rnn", "gru_dropout", "gru", "lstm", "rnn_chunked")
SLOW += ("residual_embedding_dropout", "highway_tied", "config_lstm", "config_window", "window_of_one", "window_deep")
SLOW += ("adaptive_chunked", "adaptive_bfloat16", "adaptive_tied_dropout", "config_adaptive")
SLOW += ("blocks", "config_deltanet", "attention_dropout", "attention_locked", "attention_bfloat16")
SLOW += ("attention_longer_than_the_text",)
SLOW += ("additive_decoder", "plain_decoder", "multiplicative_decoder", "late_decoder")


def each_model() -> list:
    """Every name of a model, to parametrise what runs over all of them: close relatives run with the slow tests."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in MODELS]
