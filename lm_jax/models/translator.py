"""A translator: an encoder reads the source, and a conditional language model says the target.

    x_1 ... x_S = reader(source)                   [E]    dropout                 models/source_readers.py
    m_1 ... m_S = encoder(x_1 ... x_S)             [E']   dropout; the memory
    P(target | source) = product over t of P(y_t | y_1 ... y_{t-1}, m)            the decoder: models/conditional.py

The source is whatever a reader makes vectors of: tokens of a text (`translator`), frames of speech. Its encoding may
have fewer steps than the source. Padding is masked everywhere: it changes no result.

Shapes: source tokens [S, *B] or frames [S, *B, F], mask [S, *B] (False is padding, at the end), memory [S', *B, E'].
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import InitFn
from lm_jax.encoders import Encoder
from lm_jax.errors import UserError
from lm_jax.layers import Dropout, dropout
from lm_jax.models.conditional import AlignFn, Conditioned, Decoder
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.opened_encoder import OpenedEncoder, log_prob_by_odds
from lm_jax.models.source_readers import SourceReader, token_reader
from lm_jax.types import Key, Mask, Params, Tokens


class EncodeSourceFn(Protocol):
    """A source to the memory [S', *B, E']; a key brings the randomness of training."""

    def __call__(
        self, params: Params, source: Array, *, mask: Mask | None = None, key: Key | None = None
    ) -> Float[Array, "S *B E"]: ...


class ConditionFn(Protocol):
    """A source to the parameters of the decoder that has read it, with the mask of its memory."""

    def __call__(
        self, params: Params, source: Array, *, mask: Mask | None = None, key: Key | None = None
    ) -> Conditioned: ...


class Translator(NamedTuple):
    """A translator: pure functions and the size of the vocabulary of its target.

    decoder: the language model of the target, with parameters `Conditioned`. align: the weights of its attention; None
    without. opened: the translator around its encoder; its answers are `TeacherForced` targets.
    """

    init: InitFn
    encode: EncodeSourceFn
    condition: ConditionFn
    decoder: LanguageModel
    align: AlignFn | None
    vocab_size: int
    opened: OpenedEncoder


class TeacherForced(NamedTuple):
    """Targets [T, *B] that are to be said, what the decoder reads before each, and which of them are real."""

    inputs: Tokens
    targets: Tokens
    mask: Mask


@struct.dataclass
class TranslatorParams:
    """embedding: of the reader, for tokens the table [V', E]; the encoder's; the decoder's."""

    embedding: Params
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
    """Makes a translator of texts: an embedding, an encoder, and a decoder whose memory is the encoder's output.

    Args:
        source_size: V', vocabulary entries of the source.
        encoder: reads the source; the size of its embedding is the encoder's input size.
        decoder: as `conditional_lm` makes it.
        reverse_source: whether the source is read in reverse order.
        dropout_rate: dropout rate of embedded source tokens and of the memory.
        dropout_kind: "elementwise" or "locked" in time.
        word_dropout: probability that a source token is read as unknown in training.
        unk_id: the unknown token.
        init_bound: embedding weights start uniform on (-init_bound, init_bound).

    Returns:
        The translator.

    Raises:
        UserError: for a size or rate out of range, and word dropout without an unknown token.
    """
    reader = token_reader(
        source_size,
        encoder.input_size,
        reverse_source=reverse_source,
        word_dropout=word_dropout,
        unk_id=unk_id,
        init_bound=init_bound,
    )
    return encoder_decoder(reader, encoder, decoder, dropout_rate=dropout_rate, dropout_kind=dropout_kind)


@cached
def encoder_decoder(
    reader: SourceReader,
    encoder: Encoder,
    decoder: Decoder,
    *,
    dropout_rate: float = 0.0,
    dropout_kind: str = "elementwise",
) -> Translator:
    """Makes a translator of any sources.

    Args:
        reader: makes vectors of a source, of the encoder's input size.
        encoder: reads them.
        decoder: as `conditional_lm` makes it, for a memory of the encoder's outputs.
        dropout_rate: share dropped of the vectors and of the memory.
        dropout_kind: "elementwise" or "locked" in time.

    Returns:
        The translator.

    Raises:
        UserError: for a rate out of range, and a reader whose vectors the encoder does not read.
    """
    rates = Dropout(dropout_rate, dropout_kind)
    if reader.output_size != encoder.input_size:
        raise UserError(
            f"the encoder of this reader must have input_size {reader.output_size}, got {encoder.input_size}"
        )

    def init(key):
        keys = jax.random.split(key, 3)
        return TranslatorParams(reader.init(keys[0]), encoder.init(keys[1]), decoder.model.init(keys[2]))

    def encode_with_mask(params, source, mask, key):
        key_reader = None
        if key is not None and reader.draws:
            key, key_reader = jax.random.split(key)
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        xs, mask = reader.read(params.embedding, source, mask=mask, key=key_reader)
        xs = dropout(keys[0], rates.rate, xs, rates.kind)
        memory = encoder.encode(params.encoder, xs, mask=mask, key=keys[1])
        return dropout(keys[2], rates.rate, memory, rates.kind), mask

    def encode(params, source, *, mask=None, key=None):
        return encode_with_mask(params, source, mask, key)[0]

    def condition(params, source, *, mask=None, key=None):
        return Conditioned(params.decoder, *encode_with_mask(params, source, mask, key))

    def log_probs(params, ys, answers, mask):
        conditioned = Conditioned(params.decoder, ys, mask)
        carry = decoder.model.initial_carry(conditioned, answers.inputs.shape[1:])
        _, logits = decoder.model.unroll(conditioned, carry, answers.inputs, mask=answers.mask)
        return jnp.where(answers.mask, log_prob_by_odds(logits, answers.targets), 0.0)

    def embed(params, source, mask):
        return reader.read(params.embedding, source, mask=mask)

    model, opened = decoder.model, OpenedEncoder(encoder, embed, log_probs, reader.reverses)
    return Translator(init, encode, condition, model, decoder.align, model.vocab_size, opened)


def teacher_forced(targets: Tokens, eol_id: int) -> TeacherForced:
    """Returns padded targets, ids [T, *B] with -1 as padding, with the input before each; `eol_id` is the first."""
    ids = jnp.maximum(targets, 0)
    return TeacherForced(jnp.concatenate([jnp.full_like(ids[:1], eol_id), ids[:-1]]), ids, targets >= 0)
