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
    without.
    """

    init: InitFn
    encode: EncodeSourceFn
    condition: ConditionFn
    decoder: LanguageModel
    align: AlignFn | None
    source_size: int
    vocab_size: int


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

    def encode(params, tokens, *, mask=None, key=None):
        if key is not None and word_dropout:
            key, key_w = jax.random.split(key)
            tokens = jnp.where(jax.random.bernoulli(key_w, word_dropout, tokens.shape), unknown, tokens)
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        if reverse_source:
            tokens = reversed_rows(tokens, mask)
        xs = dropout(keys[0], rates.rate, params.embedding[tokens], rates.kind)
        memory = encoder.encode(params.encoder, xs, mask=mask, key=keys[1])
        return dropout(keys[2], rates.rate, memory, rates.kind)

    def condition(params, tokens, *, mask=None, key=None):
        return Conditioned(params.decoder, encode(params, tokens, mask=mask, key=key), mask)

    return Translator(init, encode, condition, decoder.model, decoder.align, source_size, decoder.model.vocab_size)


def reversed_rows(tokens: Tokens, mask: Mask | None = None) -> Tokens:
    """Returns each row from its last real token to its first; the padding at its end stays there."""
    lengths = jnp.full(tokens.shape[1:], len(tokens)) if mask is None else jnp.sum(mask, axis=0)
    times = jnp.arange(len(tokens)).reshape(-1, *(1,) * (tokens.ndim - 1))
    return jnp.take_along_axis(tokens, jnp.where(times < lengths, lengths - 1 - times, times), axis=0)
