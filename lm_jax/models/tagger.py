"""A tagger: a tag for every word of a sentence, from the word, its characters, and what stands around it.

    x_t = [embedding[w_t], reader(characters of w_t)]        dropout
    h   = encoder(x)                                         dropout
    scores_t = h_t W_out + b_out                             [C]

The scores are read by an output (tag_outputs.py). In training, when a key is given, a word that the training data have
n times becomes <unk> with probability a / (a + n) (Kiperwasser & Goldberg 2016), so that the vector of <unk> is
learnt; its characters stay. Padding changes no result, and no gradient comes from it.

Shapes: words [T, *B], characters [T, *B, W], scores [T, *B, C], mask [T, *B]; C tags, W characters.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

from lm_jax import initializers
from lm_jax.caching import cached
from lm_jax.cells.base import InitFn
from lm_jax.data.tag_vocabulary import UNKNOWN_ID
from lm_jax.encoders import Encoder
from lm_jax.errors import UserError
from lm_jax.layers import Dropout, dropout, product
from lm_jax.models import crf
from lm_jax.models.opened_encoder import OpenedEncoder
from lm_jax.models.tag_outputs import TagOutput
from lm_jax.models.word_readers import WordReader
from lm_jax.types import Params


class TaggerInputs(NamedTuple):
    """Words [T, *B], and their characters [T, *B, W], -1 after the last of a word."""

    words: Int[Array, "T *B"]
    characters: Int[Array, "T *B W"]


class Tagger(NamedTuple):
    """A tagger, as pure functions.

    init: key -> params.
    scores: (params, inputs, *, mask, key) -> the scores of every tag, [T, *B, C].
    log_prob: (params, inputs, tags, *, mask, key) -> log P of a row's tags, [*B].
    n_best: (params, inputs, k, *, mask) -> the k best strings of a row, whose scores are log-probabilities.
    marginals: (params, inputs, *, mask) -> the probability of every tag at every word, [T, *B, C].
    opened: the tagger around its encoder; its answers are tags [T, *B], of whose marginal probabilities it tells the
        logarithms.
    inputs_of: words [T, *B] of the vocabulary -> inputs with their characters; None for a tagger without a vocabulary.
    """

    init: InitFn
    scores: Callable[..., Float[Array, "T *B C"]]
    log_prob: Callable[..., Float[Array, "*B"]]
    n_best: Callable[..., crf.BestStrings]
    marginals: Callable[..., Float[Array, "T *B C"]]
    opened: OpenedEncoder
    inputs_of: Callable[[Int[Array, "T *B"]], TaggerInputs] | None = None


@struct.dataclass
class TaggerParams:
    """embedding [V, E], the reader's and the encoder's, w_out [H, C], b_out [C], and the output's (None without)."""

    embedding: Float[Array, "V E"]
    reader: Params
    encoder: Params
    w_out: Float[Array, "H C"]
    b_out: Float[Array, "C"]
    output: crf.CRFParams | None


@cached
def tagger(
    encoder: Encoder,
    output: TagOutput,
    counts: Sequence[int],
    reader: WordReader | None = None,
    *,
    rows: Sequence[int] | None = None,
    word_dropout: float = 0.25,
    dropout_rate: float = 0.0,
    dropout_kind: str = "elementwise",
) -> Tagger:
    """Makes a tagger around any encoder.

    Args:
        encoder: Reads word and character vectors; what of its input the reader does not fill is the embedding.
        output: What scores mean for a tag sequence.
        counts: How often the training data have each word of the vocabulary; the first is `<unk>`.
        reader: Over the characters of a word; None for words alone.
        rows: The row of the embedding that each word reads; None: its own. Words of one row share its vector, and are
            counted together.
        word_dropout: a in the probability a / (a + n) with which a word becomes `<unk>` in training.
        dropout_rate: Share dropped of the encoder's inputs and outputs, in training.
        dropout_kind: "elementwise" or "locked" in time.

    Returns:
        The tagger.

    Raises:
        UserError: For a rate out of range, and an encoder whose input has no room for an embedding.
    """
    rates = Dropout(dropout_rate, dropout_kind)
    embedding_size = encoder.input_size - (0 if reader is None else reader.output_size)
    if embedding_size < 1:
        rule = "the encoder's input must hold a word's embedding beside what is read of its characters"
        raise UserError(f"{rule}, got sizes {encoder.input_size} and {encoder.input_size - embedding_size}")
    row_of = np.arange(len(counts)) if rows is None else np.asarray(rows)
    row_counts = np.maximum(np.bincount(row_of, counts, len(counts)).astype(np.float32), 1e-9)
    unknown_rates = word_dropout / (word_dropout + row_counts)

    def init(key):
        key_e, key_r, key_s, key_o = jax.random.split(key, 4)
        draw, draw_out = initializers.uniform((3 / embedding_size) ** 0.5), (6 / (encoder.output_size + output.tags))
        return TaggerParams(
            embedding=draw(key_e, (len(counts), embedding_size), jnp.float32),
            reader=() if reader is None else reader.init(key_r),
            encoder=encoder.init(key_s),
            w_out=initializers.uniform(draw_out**0.5)(key_o, (encoder.output_size, output.tags), jnp.float32),
            b_out=jnp.zeros(output.tags, jnp.float32),
            output=output.init(),
        )

    def scores(params, inputs, *, mask=None, key=None):
        key_w, key_x, key_e, key_y = (None,) * 4 if key is None else jax.random.split(key, 4)
        words = jnp.asarray(row_of)[inputs.words]
        if key_w is not None and word_dropout > 0:
            words = jnp.where(jax.random.bernoulli(key_w, jnp.asarray(unknown_rates)[words]), UNKNOWN_ID, words)
        xs = _vectors(reader, params, words, inputs.characters)
        ys = encoder.encode(params.encoder, dropout(key_x, rates.rate, xs, rates.kind), mask=mask, key=key_e)
        return _scores(params, dropout(key_y, rates.rate, ys, rates.kind))

    def log_prob(params, inputs, tags, *, mask=None, key=None):
        return output.log_prob(params.output, scores(params, inputs, mask=mask, key=key), tags, mask)

    def n_best(params, inputs, k, *, mask=None):
        field, of_tags = output.field(params.output), scores(params, inputs, mask=mask)
        best = crf.n_best(field, of_tags, k, mask)
        return best._replace(scores=best.scores - crf.log_partition(field, of_tags, mask))

    def marginals(params, inputs, *, mask=None):
        return crf.marginals(output.field(params.output), scores(params, inputs, mask=mask), mask)

    return Tagger(init, scores, log_prob, n_best, marginals, _opened(encoder, output, reader, row_of))


def _vectors(reader, params, words, characters):
    """What the encoder reads of each word."""
    xs = params.embedding[words]
    if reader is None:
        return xs
    return jnp.concatenate([xs, reader.read(params.reader, jnp.asarray(characters))], axis=-1)


def _scores(params, ys):
    return product(ys, params.w_out) + params.b_out


def _opened(encoder, output, reader, row_of):
    def embed(params, inputs, mask):
        return _vectors(reader, params, jnp.asarray(row_of)[inputs.words], inputs.characters), mask

    def log_probs(params, ys, tags, mask):
        return crf.label_log_probs(output.field(params.output), _scores(params, ys), tags, mask)

    def log_prob_at(params, ys, tags, mask, chosen):
        return crf.label_log_prob_at(output.field(params.output), _scores(params, ys), tags, chosen, mask)

    return OpenedEncoder(encoder, embed, log_probs, log_prob_at=log_prob_at)
