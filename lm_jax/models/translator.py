"""A translator: an encoder reads the source, and a conditional language model says the target.

    x_s = source_embedding[token_s]            [E]    dropout
    m_1 ... m_S = encoder(x_1 ... x_S)         [E']   dropout; the memory
    P(target | source) = product over t of P(y_t | y_1 ... y_{t-1}, m)        the decoder: models/conditional.py

With a reversed source the encoder reads each sentence from its last token to its first (Sutskever et al. 2014, section
3.3), and the memory is in that order. Padding is masked everywhere: it changes no result.

Shapes: source tokens [S, *B], mask [S, *B] (False is padding, at the end), memory [S, *B, E'].
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax import initializers
from lm_jax.caching import cached
from lm_jax.cells.base import InitFn
from lm_jax.encoders import Encoder
from lm_jax.errors import UserError, check_rate, check_sizes
from lm_jax.layers import Dropout, dropout
from lm_jax.models.conditional import AlignFn, Conditioned, Decoder
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.opened_encoder import OpenedEncoder, log_prob_by_odds
from lm_jax.types import Key, Mask, Params, Tokens


class EncodeSourceFn(Protocol):
    """Source tokens [S, *B] to the memory [S, *B, E']; a key brings the randomness of training."""

    def __call__(
        self, params: Params, tokens: Tokens, *, mask: Mask | None = None, key: Key | None = None
    ) -> Float[Array, "S *B E"]: ...


class ConditionFn(Protocol):
    """Source tokens [S, *B] to the parameters of the decoder that has read them."""

    def __call__(
        self, params: Params, tokens: Tokens, *, mask: Mask | None = None, key: Key | None = None
    ) -> Conditioned: ...


class Translator(NamedTuple):
    """A translator: pure functions and the sizes of its vocabularies.

    decoder: the language model of the target, with parameters `Conditioned`. align: the weights of its attention; None
    without. opened: the translator around its encoder; its answers are `TeacherForced` targets.
    """

    init: InitFn
    encode: EncodeSourceFn
    condition: ConditionFn
    decoder: LanguageModel
    align: AlignFn | None
    source_size: int
    vocab_size: int
    opened: OpenedEncoder


class TeacherForced(NamedTuple):
    """Targets [T, *B] that are to be said, what the decoder reads before each, and which of them are real."""

    inputs: Tokens
    targets: Tokens
    mask: Mask


@struct.dataclass
class TranslatorParams:
    """embedding [V', E] of the source; the encoder's; the decoder's."""

    embedding: Float[Array, "V E"]
    encoder: Params
    decoder: Params


@cached
def translator(
    source_size: int,
    encoder: Encoder,
    decoder: Decoder,
    *,
    reverse_source: bool = False,
    dropout_rate: float = 0.0,
    dropout_kind: str = "elementwise",
    word_dropout: float = 0.0,
    unk_id: int | None = None,
    init_bound: float = 0.1,
) -> Translator:
    """Makes a translator of an encoder and a decoder whose memory is what the encoder puts out.

    Args:
        source_size: V', types of the source.
        encoder: reads the source; the size of its embedding is the encoder's input size.
        decoder: as `conditional_lm` makes it.
        reverse_source: whether the encoder reads from the last token to the first.
        dropout_rate: share dropped of embedded source tokens and of the memory.
        dropout_kind: "elementwise" or "locked" in time.
        word_dropout: share of the source tokens that are read as `unk_id` when a key is given.
        unk_id: the unknown token of the source.
        init_bound: the embedding starts uniform on (-init_bound, init_bound).

    Returns:
        The translator.

    Raises:
        UserError: for a size or rate out of range, and word dropout without an unknown token.
    """
    check_sizes(source_size=source_size)
    check_rate("word_dropout", word_dropout)
    if word_dropout and unk_id is None:
        raise UserError(f"word_dropout needs an unknown token, got {word_dropout} without", ["word_dropout"])
    unknown = unk_id or 0
    rates = Dropout(dropout_rate, dropout_kind)

    def init(key):
        keys = jax.random.split(key, 3)
        return TranslatorParams(
            embedding=initializers.uniform(init_bound)(keys[0], (source_size, encoder.input_size), jnp.float32),
            encoder=encoder.init(keys[1]),
            decoder=decoder.model.init(keys[2]),
        )

    def embed(params, tokens, mask):
        return params.embedding[reversed_rows(tokens, mask) if reverse_source else tokens]

    def encode(params, tokens, *, mask=None, key=None):
        if key is not None and word_dropout:
            key, key_w = jax.random.split(key)
            tokens = jnp.where(jax.random.bernoulli(key_w, word_dropout, tokens.shape), unknown, tokens)
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        xs = dropout(keys[0], rates.rate, embed(params, tokens, mask), rates.kind)
        memory = encoder.encode(params.encoder, xs, mask=mask, key=keys[1])
        return dropout(keys[2], rates.rate, memory, rates.kind)

    def condition(params, tokens, *, mask=None, key=None):
        return Conditioned(params.decoder, encode(params, tokens, mask=mask, key=key), mask)

    def log_probs(params, ys, answers, mask):
        conditioned = Conditioned(params.decoder, ys, mask)
        carry = decoder.model.initial_carry(conditioned, answers.inputs.shape[1:])
        _, logits = decoder.model.unroll(conditioned, carry, answers.inputs, mask=answers.mask)
        return jnp.where(answers.mask, log_prob_by_odds(logits, answers.targets), 0.0)

    model, opened = decoder.model, OpenedEncoder(encoder, embed, log_probs, reverse_source)
    return Translator(init, encode, condition, model, decoder.align, source_size, model.vocab_size, opened)


def teacher_forced(targets: Tokens, eol_id: int) -> TeacherForced:
    """Returns padded targets, ids [T, *B] with -1 as padding, with the input before each; `eol_id` is the first."""
    ids = jnp.maximum(targets, 0)
    return TeacherForced(jnp.concatenate([jnp.full_like(ids[:1], eol_id), ids[:-1]]), ids, targets >= 0)


def reversed_rows(tokens: Tokens, mask: Mask | None = None) -> Tokens:
    """Returns each row from its last real position to its first; the padding at its end stays there."""
    lengths = jnp.full(tokens.shape[1:], len(tokens)) if mask is None else jnp.sum(mask, axis=0)
    times = jnp.arange(len(tokens)).reshape(-1, *(1,) * (tokens.ndim - 1))
    return jnp.take_along_axis(tokens, jnp.where(times < lengths, lengths - 1 - times, times), axis=0)
