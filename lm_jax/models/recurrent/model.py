"""The recurrent language model (Mikolov et al. 2010; Zaremba et al. 2014): embedding, any cell, softmax.

    e_t = embedding[x_t]                        [E]     dropout
    carry_t, y_t = cell(carry_{t-1}, e_t)       [H]     dropout
    logits_t = y_t W_out + b_out                [V]     W_out = embedding^T where tied (Press & Wolf 2017)

For a large vocabulary the last line may be an adaptive softmax instead (lm_jax/models/recurrent/adaptive_softmax.py).
Dropout acts only when a key is given: on whole rows of the embedding (Gal & Ghahramani 2016), on embedded inputs,
between layers (lm_jax/cells/stack.py) and on outputs.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax import initializers
from lm_jax.caching import cached
from lm_jax.cells import Cell
from lm_jax.encoders import Encoder
from lm_jax.errors import UserError, check_sizes
from lm_jax.layers import Dropout, cast, dropout, product, row_dropout, softmax_log_probs
from lm_jax.models.language_model import LanguageModel, Opened, check_vocab_size, masked_log_probs
from lm_jax.models.recurrent.adaptive_softmax import adaptive_readout
from lm_jax.models.recurrent.readout import Readout
from lm_jax.types import Params


@struct.dataclass
class RecurrentLMParams:
    """embedding [V, E], the cell's parameters, w_out [H, V] (None where tied to the embedding), b_out [V]."""

    embedding: Float[Array, "V E"]
    cell: Params
    w_out: Float[Array, "H V"] | None
    b_out: Float[Array, "V"]


@cached
def recurrent_lm(
    vocab_size: int,
    cell: Cell,
    *,
    tied: bool = False,
    cutoffs: Sequence[int] = (),
    cutoff_factor: int = 4,
    dropout_rate: float = 0.0,
    dropout_kind: str = "elementwise",
    input_dropout: float | None = None,
    output_dropout: float | None = None,
    embedding_dropout: float = 0.0,
    init_bound: float = 0.1,
    compute_dtype: str | None = None,
    logits_limit: int = 2**29,
) -> LanguageModel:
    """Makes a language model around any cell. The size of its embedding is the cell's input size.

    Args:
        vocab_size: V, vocabulary entries.
        cell: a recurrent cell, or a stack of cells.
        tied: whether the softmax uses the embedding, which needs cell.output_size == cell.input_size.
        cutoffs: rising ids, such as (2000, 10000), that cut the vocabulary into the head and the tail clusters of an
            adaptive softmax (tied: of an adaptive embedding too); none for the full softmax.
        cutoff_factor: factor by which the embedding size shrinks from one cluster to the next.
        dropout_rate: dropout rate of embedded inputs and of outputs.
        dropout_kind: "elementwise" or "locked" in time.
        input_dropout: dropout rate of embedded inputs. Default: dropout_rate.
        output_dropout: dropout rate of outputs. Default: dropout_rate.
        embedding_dropout: share of the vocabulary entries that are dropped from a call.
        init_bound: embedding and softmax weights start uniform on (-init_bound, init_bound).
        compute_dtype: type of the operands of the softmax product. Default: that of the parameters.
        logits_limit: bytes of logits above which `score` works in pieces and holds no [T, B, V] array.

    Returns:
        The language model.

    Raises:
        UserError: for a vocabulary below 2, a rate outside [0, 1), sizes that cannot be tied, cutoffs that do not rise
            inside the vocabulary, or an encoder.
    """
    _check(vocab_size, cell, tied)
    rates = Dropout(dropout_rate, dropout_kind, input_dropout, None, output_dropout, embedding_dropout)

    if cutoffs:
        readout = adaptive_readout(
            vocab_size, cell, cutoffs, cutoff_factor, tied, init_bound, compute_dtype, logits_limit
        )
    else:
        readout = _full_readout(vocab_size, cell, tied, init_bound, compute_dtype, logits_limit)

    def init(key):
        key_e, key_c, key_o = jax.random.split(key, 3)
        return readout.init(key_e, key_o, cell.init(key_c))

    def initial_carry(params, batch_shape):
        return cell.initial_carry(params.cell, batch_shape)

    def step(params, carry, token):
        carry, y = cell.step(params.cell, carry, readout.embed(params, token))
        return carry, readout.logits(params, y)

    def hidden(params, carry, tokens, *, mask=None, reset=None, key=None):
        keys = (None,) * 4 if key is None else jax.random.split(key, 4)
        xs = readout.embed(params, tokens)
        if key is not None and rates.embedding > 0:
            types = row_dropout(keys[0], rates.embedding, jnp.ones((vocab_size, 1), xs.dtype))
            xs = xs * types[tokens]
        xs = dropout(keys[1], rates.input_rate, xs, rates.kind)
        carry, ys = cell.unroll(params.cell, carry, xs, mask=mask, reset=reset, key=keys[2])
        return carry, ys, dropout(keys[3], rates.output_rate, ys, rates.kind)

    def unroll(params, carry, tokens, *, mask=None, reset=None, key=None):
        carry, _, ys = hidden(params, carry, tokens, mask=mask, reset=reset, key=key)
        return carry, readout.logits(params, ys)

    def score(params, carry, inputs, targets, *, mask=None, reset=None, key=None):
        carry, _, ys = hidden(params, carry, inputs, mask=mask, reset=reset, key=key)
        return carry, masked_log_probs(readout.log_probs(params, ys, targets), mask)

    opened = Opened(hidden, readout.log_probs, cell, readout.embed, readout.logits)
    return LanguageModel(init, initial_carry, step, unroll, score, vocab_size, opened, readout.vocab_axes)


def _full_readout(vocab_size, cell, tied, init_bound, compute_dtype, logits_limit):
    """Makes a readout of one embedding matrix and one softmax over the vocabulary."""

    def init(key_e, key_o, cell_params):
        draw = initializers.uniform(init_bound)
        return RecurrentLMParams(
            embedding=draw(key_e, (vocab_size, cell.input_size), jnp.float32),
            cell=cell_params,
            w_out=None if tied else draw(key_o, (cell.output_size, vocab_size), jnp.float32),
            b_out=jnp.zeros((vocab_size,), jnp.float32),
        )

    def weights(params):
        w = params.embedding.T if tied else params.w_out
        return cast(w, compute_dtype), params.b_out

    def embed(params, tokens):
        return params.embedding[tokens]

    def logits(params, ys):
        w, b = weights(params)
        return product(ys, w) + b

    def log_probs(params, ys, targets):
        return softmax_log_probs(ys, *weights(params), targets, logits_limit)

    return Readout(init, embed, logits, log_probs, full_vocab_axes)


def full_vocab_axes(params: RecurrentLMParams) -> RecurrentLMParams:
    """Returns the vocabulary axes of a model with one full softmax; -1 for the parameters of the cell."""
    axes = jax.tree.map(lambda _: -1, params)
    return axes.replace(embedding=0, w_out=None if params.w_out is None else 1, b_out=0)


def _check(vocab_size, cell, tied):
    if isinstance(cell, Encoder):
        raise UserError(
            "a language model needs a Cell, which reads from left to right: an encoder may look right, where it sees "
            "the token that it has to predict, got an Encoder"
        )
    check_sizes(vocab_size=vocab_size)
    check_vocab_size(vocab_size)
    if tied and cell.input_size != cell.output_size:
        raise UserError(
            f"a tied softmax needs embedding_size equal to hidden_size, got {cell.input_size} and {cell.output_size}; "
            f"give embedding_size={cell.output_size}",
            ("embedding_size", "hidden_size"),
        )
