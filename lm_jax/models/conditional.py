"""A recurrent language model that is conditioned on a memory: the decoder of a translator, of speech, of anything.

It is a `LanguageModel` whose parameters are `Conditioned(params, memory, mask)`: whatever scores, samples or searches a
language model does so with it. The memory [S, *B, E] is any sequence of vectors. With e_t the embedded token, m the
memory, y_t the output of the cell and c_t what attention reads:

    plain            y_t = cell(e_t)                                               r_t = tanh([y_t] W_r + b_r)
    additive         y_t = cell([e_t, c_t])        c_t = attend(y_{t-1}, m)        r_t = tanh([y_t, c_t, e_t] W_r + b_r)
    multiplicative   y_t = cell([e_t, r_{t-1}])    c_t = attend(y_t, m)            r_t = tanh([y_t, c_t] W_r + b_r)

    logits_t = r_t W_out + b_out                   W_out = embedding^T where tied

plain: Sutskever et al. 2014; additive: Bahdanau et al. 2015; multiplicative: Luong et al. 2015 with input feeding
(section 3.3), or without, where the cell reads e_t alone and attention is one product over all steps. In every form the
cell begins with what the encoder ended with, through a learnt layer for every part of its carry:

    carry_0 = tanh(ends(m) W + b)                  ends: of each direction of the encoder its last output

The carry also adds up the weights of attention, so that a search knows which of the source has been covered.
"""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lm_jax import initializers
from lm_jax.attention import Attention, additive_attention, multiplicative_attention
from lm_jax.caching import cached
from lm_jax.cells.base import Cell
from lm_jax.encoders import pool_ends
from lm_jax.errors import UserError, check_sizes, one_of
from lm_jax.layers import Dropout, dropout, product, softmax_log_probs
from lm_jax.models.decoder_loops import (
    Conditioned,
    DecoderCarry,
    DecoderParams,
    LayerParams,
    Switches,
    additive_loop,
    fed_loop,
    late_loop,
    plain_loop,
)
from lm_jax.models.language_model import LanguageModel, check_vocab_size, masked_log_probs, step_of
from lm_jax.types import Carry, Tokens


class AlignFn(Protocol):
    """Weights [T, *B, S] with which each of the inputs [T, *B] is read beside the source."""

    def __call__(self, params: Conditioned, carry: Carry, tokens: Tokens) -> Float[Array, "T *B S"]: ...


class Decoder(NamedTuple):
    """A conditional language model, and the weights of its attention (None without)."""

    model: LanguageModel
    align: AlignFn | None


@cached
def conditional_lm(
    vocab_size: int,
    cell: Cell,
    memory_size: int,
    *,
    form: str = "additive",
    input_feeding: bool = True,
    embedding_size: int,
    readout_size: int | None = None,
    attention_size: int | None = None,
    forward_size: int | None = None,
    tied: bool = False,
    dropout_rate: float = 0.0,
    dropout_kind: str = "elementwise",
    init_bound: float = 0.1,
    logits_limit: int = 2**29,
) -> Decoder:
    """Makes a decoder around any cell.

    Args:
        vocab_size: V, vocabulary entries of the target with its end-of-line token.
        cell: reads `decoder_input_size` numbers a step.
        memory_size: E', output size of the encoder.
        form: "plain", "additive" or "multiplicative"; see the module.
        input_feeding: whether the multiplicative form reads r_{t-1}; without, its steps need no loop of their own.
        embedding_size: E.
        readout_size: R; default: E where tied, else the cell's output size.
        attention_size: units of the additive score; default: the cell's output size.
        forward_size: how many numbers of the memory, the first, are from an encoder that reads from left to right; the
            others are of one from right to left. Default: all.
        tied: the softmax uses the embedding, which needs R = E.
        dropout_rate: share dropped of embedded inputs and of readouts. Inside a stack it acts in the forms whose cell
            reads e_t alone.
        dropout_kind: "elementwise" or "locked" in time.
        init_bound: embedding and softmax weights start uniform on (-init_bound, init_bound).
        logits_limit: bytes of logits above which `score` works in pieces.

    Returns:
        The decoder.

    Raises:
        UserError: for sizes that do not fit, an unknown form or a rate outside [0, 1).
    """
    check_sizes(vocab_size=vocab_size, memory_size=memory_size, embedding_size=embedding_size)
    check_vocab_size(vocab_size)
    sizes = Sizes(embedding_size, memory_size, readout_size or (embedding_size if tied else cell.output_size))
    _check(cell, decoder_input_size(form, sizes, input_feeding), tied, sizes)
    rates = Dropout(dropout_rate, dropout_kind)
    attention = _attention(form, cell.output_size, memory_size, attention_size)
    loop = _loop(form, input_feeding, cell, attention)
    init = _init(vocab_size, cell, attention, form, sizes, tied, init_bound)

    def initial_carry(params, batch_shape):
        return _start(cell, params, batch_shape, _fed_size(form, input_feeding, cell, sizes), form, forward_size)

    def hidden(params, carry, tokens, mask, reset, key):
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        xs = dropout(keys[0], rates.input_rate, params.params.embedding[tokens], rates.kind)
        initial = None if reset is None else initial_carry(params, tokens.shape[1:])
        carry, rs, weights = loop(params, carry, xs, Switches(mask, reset, keys[1], initial))
        return carry, dropout(keys[2], rates.output_rate, rs, rates.kind), weights

    def softmax(params):
        return (params.params.embedding.T if tied else params.params.w_out), params.params.b_out

    def unroll(params, carry, tokens, *, mask=None, reset=None, key=None):
        carry, rs, _ = hidden(params, carry, tokens, mask, reset, key)
        w, b = softmax(params)
        return carry, product(rs, w) + b

    def score(params, carry, inputs, targets, *, mask=None, reset=None, key=None):
        carry, rs, _ = hidden(params, carry, inputs, mask, reset, key)
        return carry, masked_log_probs(softmax_log_probs(rs, *softmax(params), targets, logits_limit), mask)

    def align(params, carry, tokens) -> Any:
        return hidden(params, carry, tokens, None, None, None)[2]

    model = LanguageModel(init, initial_carry, step_of(unroll), unroll, score, vocab_size)
    return Decoder(model, None if attention is None else align)


class Sizes(NamedTuple):
    """embedding E; memory E'; readout R."""

    embedding: int
    memory: int
    readout: int


def decoder_input_size(form: str, sizes: Sizes, input_feeding: bool = True) -> int:
    """Returns the input size that the cell of a decoder needs.

    Args:
        form: The attention: "plain" (none), "additive" or "multiplicative".
        sizes: The sizes of embedding, memory and readout.
        input_feeding: Whether multiplicative attention feeds its last readout in beside the embedding.

    Raises:
        UserError: For another form.
    """
    fed = {"plain": 0, "additive": sizes.memory, "multiplicative": sizes.readout if input_feeding else 0}
    return sizes.embedding + one_of("attention", form, fed)


def _fed_size(form, input_feeding, cell, sizes):
    fed = {"plain": None, "additive": cell.output_size, "multiplicative": sizes.readout if input_feeding else None}
    return fed[form]


def _attention(form, query_size, memory_size, size) -> Attention | None:
    if form == "plain":
        return None
    if form == "additive":
        return additive_attention(query_size, memory_size, size)
    return multiplicative_attention(query_size, memory_size)


def _loop(form, input_feeding, cell, attention):
    if form == "plain":
        return plain_loop(cell)
    if form == "additive":
        return additive_loop(cell, attention)
    return fed_loop(cell, attention) if input_feeding else late_loop(cell, attention)


def _init(vocab_size, cell, attention, form, sizes, tied, init_bound):
    draw, dense = initializers.uniform(init_bound), jax.nn.initializers.lecun_normal()

    def layer(key, rows, columns):
        return LayerParams(dense(key, (rows, columns), jnp.float32), jnp.zeros((columns,), jnp.float32))

    def init(key):
        keys = jax.random.split(key, 6)
        params = cell.init(keys[1])
        parts = jax.tree.leaves(jax.eval_shape(lambda: cell.initial_carry(params, ())))
        widths = [part.shape[0] if part.ndim and jnp.issubdtype(part.dtype, jnp.floating) else None for part in parts]
        if form == "additive":
            widths.append(cell.output_size)
        drawn = zip(widths, jax.random.split(keys[3], len(widths)), strict=True)
        features = (
            cell.output_size + (sizes.memory if attention else 0) + (sizes.embedding if form == "additive" else 0)
        )
        return DecoderParams(
            embedding=draw(keys[0], (vocab_size, sizes.embedding), jnp.float32),
            cell=params,
            attention=None if attention is None else attention.init(keys[2]),
            start=tuple(None if width is None else layer(k, sizes.memory, width) for width, k in drawn),
            readout=layer(keys[4], features, sizes.readout),
            w_out=None if tied else draw(keys[5], (sizes.readout, vocab_size), jnp.float32),
            b_out=jnp.zeros((vocab_size,), jnp.float32),
        )

    return init


def _start(cell, params, batch_shape, fed_size, form, forward_size):
    """Makes the carry before the first step of rows that begin with the ends of the memory."""
    p, ends = params.params, pool_ends(params.memory, params.mask, forward_size)

    def begun(layer, part):
        return part if layer is None else part + jnp.tanh(product(ends, layer.w) + layer.b)

    parts, structure = jax.tree.flatten(cell.initial_carry(p.cell, batch_shape))
    carry = jax.tree.unflatten(structure, [begun(*pair) for pair in zip(p.start, parts, strict=False)])
    fed = None if fed_size is None else jnp.zeros((*batch_shape, fed_size), jnp.float32)
    coverage = None if form == "plain" else jnp.zeros((*batch_shape, len(params.memory)), jnp.float32)
    return DecoderCarry(carry, begun(p.start[-1], fed) if form == "additive" else fed, coverage)


def _check(cell, input_size, tied, sizes):
    if cell.input_size != input_size:
        raise UserError(
            f"the cell of this decoder must have input_size {input_size} (decoder_input_size), got {cell.input_size}"
        )
    if tied and sizes.readout != sizes.embedding:
        raise UserError(
            f"a tied softmax needs readout_size equal to embedding_size, got {sizes.readout} and {sizes.embedding}",
            ["readout_size", "embedding_size"],
        )
