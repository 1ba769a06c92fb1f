"""The recurrent language model (Mikolov et al. 2010; Zaremba et al. 2014): embedding, any cell, softmax.

    e_t = embedding[x_t]                        [E]     dropout
    carry_t, y_t = cell(carry_{t-1}, e_t)       [H]     dropout
    logits_t = y_t W_out + b_out                [V]     W_out = embedding^T where tied (Press & Wolf 2017)

Dropout acts on embeddings, between layers and on outputs, only when a key is given.
"""

import functools
import math

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.cells import CELLS, Cell, initializers, input_sizes, stacked
from lm_jax.config import ModelConfig
from lm_jax.errors import UserError, check_rate, check_sizes, one_of
from lm_jax.layers import dropout, product, target_log_probs
from lm_jax.models.language_model import LanguageModel
from lm_jax.types import Params


@struct.dataclass
class RecurrentLMParams:
    """embedding [V, E], the cell's parameters, w_out [H, V] (None where tied to the embedding), b_out [V]."""

    embedding: Float[Array, "V E"]
    cell: Params
    w_out: Float[Array, "H V"] | None
    b_out: Float[Array, "V"]


@functools.cache
def recurrent_lm(
    vocab_size: int,
    cell: Cell,
    *,
    tied: bool = False,
    dropout_rate: float = 0.0,
    dropout_kind: str = "elementwise",
    init_bound: float = 0.1,
    compute_dtype: str | None = None,
    logits_limit: int = 2**29,
) -> LanguageModel:
    """A language model around any cell; the size of its embedding is the cell's input size.

    tied: the softmax uses the embedding, which needs cell.output_size == cell.input_size.
    init_bound: embedding and softmax weights start uniform on (-init_bound, init_bound).
    compute_dtype: the type of the operands of the softmax product; None keeps the parameters' own.
    logits_limit: bytes of logits above which `score` works in pieces and holds no [T, B, V] array.
    Raises UserError for a vocabulary below 2, a rate outside [0, 1), or sizes that cannot be tied.
    """
    check_sizes(vocab_size=vocab_size)
    check_rate("dropout_rate", dropout_rate)
    if vocab_size < 2:
        raise UserError(f"a language model needs a vocabulary of at least 2 types, got {vocab_size}")
    if tied and cell.input_size != cell.output_size:
        raise UserError(
            f"a tied softmax needs embedding_size equal to hidden_size, got {cell.input_size} and {cell.output_size}"
        )

    def init(key):
        key_e, key_c, key_o = jax.random.split(key, 3)
        draw = initializers.uniform(init_bound)
        return RecurrentLMParams(
            embedding=draw(key_e, (vocab_size, cell.input_size), jnp.float32),
            cell=cell.init(key_c),
            w_out=None if tied else draw(key_o, (cell.output_size, vocab_size), jnp.float32),
            b_out=jnp.zeros((vocab_size,)),
        )

    def initial_carry(params, batch_shape):
        return cell.initial_carry(params.cell, batch_shape)

    def readout(params):
        w = params.embedding.T if tied else params.w_out
        return w.astype(compute_dtype or w.dtype), params.b_out

    def step(params, carry, token):
        carry, y = cell.step(params.cell, carry, params.embedding[token])
        w, b = readout(params)
        return carry, product(y, w) + b

    def hidden(params, carry, tokens, mask, reset, key):
        key_in, key_cell, key_out = (None, None, None) if key is None else jax.random.split(key, 3)
        xs = dropout(key_in, dropout_rate, params.embedding[tokens], dropout_kind)
        carry, ys = cell.unroll(params.cell, carry, xs, mask=mask, reset=reset, key=key_cell)
        return carry, dropout(key_out, dropout_rate, ys, dropout_kind)

    def unroll(params, carry, tokens, *, mask=None, reset=None, key=None):
        carry, ys = hidden(params, carry, tokens, mask, reset, key)
        w, b = readout(params)
        return carry, product(ys, w) + b

    def score(params, carry, inputs, targets, *, mask=None, reset=None, key=None):
        carry, ys = hidden(params, carry, inputs, mask, reset, key)
        log_probs = softmax_log_probs(ys, *readout(params), targets, logits_limit)
        return carry, log_probs if mask is None else jnp.where(mask, log_probs, 0.0)

    return LanguageModel(init, initial_carry, step, unroll, score, vocab_size)


def softmax_log_probs(ys, w, b, targets, logits_limit):
    """log softmax(ys w + b)[targets] [T, *B]; in pieces recomputed for the gradient if the logits pass the limit."""
    itemsize = jnp.promote_types(w.dtype, jnp.float32).itemsize
    rows = targets.size
    pieces = min(rows, math.ceil(rows * w.shape[1] * itemsize / logits_limit))
    if pieces <= 1:
        return target_log_probs(product(ys, w) + b, targets)
    per_piece = math.ceil(rows / pieces)
    padding = pieces * per_piece - rows
    flat_ys = jnp.pad(ys.reshape(rows, -1), ((0, padding), (0, 0))).reshape(pieces, per_piece, -1)
    flat_targets = jnp.pad(targets.reshape(-1), (0, padding)).reshape(pieces, per_piece)
    piece = jax.checkpoint(lambda operands: target_log_probs(product(operands[0], w) + b, operands[1]))
    return jax.lax.map(piece, (flat_ys, flat_targets)).reshape(-1)[:rows].reshape(targets.shape)


def build_cell(config: ModelConfig) -> Cell:
    """The cell, or the stack of cells, that a configuration describes."""
    sizes = input_sizes(config.connection, config.embedding_size, [config.hidden_size] * config.layers)
    cells = [CELLS[config.cell](size, config.hidden_size, **_cell_options(config)) for size in sizes]
    if len(cells) == 1 and config.connection == "plain":
        return cells[0]
    return stacked(cells, config.connection, dropout_rate=config.dropout, dropout_kind=config.dropout_kind)


def _cell_options(config):
    one_of("cell", config.cell, CELLS)
    options = {"compute_dtype": None if config.compute_dtype == "float32" else config.compute_dtype}
    if config.init == "uniform":
        draw = initializers.uniform(config.init_scale or 1 / math.sqrt(config.hidden_size))
        options |= {"w_x_init": draw, "w_h_init": draw, "b_init": draw}
    else:
        kinds = {"orthogonal": initializers.orthogonal, "identity": initializers.identity}
        options["w_h_init"] = one_of("init", config.init, kinds)(config.init_scale or 1.0)
    own = {
        "rnn": {"nonlinearity": config.nonlinearity},
        "gru": {"reset": config.gru_reset},
        "lstm": {"forget_bias": config.forget_bias},
    }
    return options | own[config.cell]


def from_config(config: ModelConfig, vocab_size: int) -> LanguageModel:
    """The recurrent language model that a configuration describes."""
    return recurrent_lm(
        vocab_size,
        build_cell(config),
        tied=config.tied,
        dropout_rate=config.dropout,
        dropout_kind=config.dropout_kind,
        compute_dtype=None if config.compute_dtype == "float32" else config.compute_dtype,
    )
