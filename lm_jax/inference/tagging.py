"""The tags of many sentences, in batches of like length: scores of true tags, and the best sequences."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.data.buckets import in_order
from lm_jax.data.tag_vocabulary import EncodedSentences
from lm_jax.models.tagger import Tagger, TaggerInputs
from lm_jax.short_repr import shortly_shown
from lm_jax.types import Params


ROWS = 64  # sentences of a batch
ProgressFn = Callable[[int, int], None]  # (batches done, batches in all)


@shortly_shown
class TagScores(NamedTuple):
    """log_probs [S]: of the true tags of every sentence, in nats. tags [N]: the best tag of every word."""

    log_probs: np.ndarray
    tags: np.ndarray


@shortly_shown
class TagStrings(NamedTuple):
    """Best tag sequences of one sentence: tags [K, T], their log-probabilities [K], and of those of the first string
    the probability at every word, [T]. K may be smaller than was asked for."""

    tags: np.ndarray
    log_probs: np.ndarray
    probabilities: np.ndarray


def score_tags(
    model: Tagger, params: Params, sentences: EncodedSentences, progress: ProgressFn | None = None
) -> TagScores:
    """Scores the true tags of sentences and finds the best ones; padding changes nothing.

    Args:
        model: a tagger.
        params: its parameters.
        sentences: words and tags as ids.
        progress: called with (batches done, batches in all).

    Returns:
        Log-probabilities of the true tags, and the best tags.
    """
    log_probs, tags = np.zeros(len(sentences.lengths)), np.zeros(len(sentences.words), np.int32)
    for rows, places, mask in _batches(sentences.lengths, progress):
        inputs = TaggerInputs(jnp.asarray(sentences.words[places]), jnp.asarray(sentences.characters[places]))
        of_rows, best = _score(model)(params, inputs, sentences.tags[places], mask)
        log_probs[rows[rows >= 0]] = np.asarray(of_rows, np.float64)[rows >= 0]
        tags[places[mask]] = np.asarray(best)[mask]
    return TagScores(log_probs, tags)


def best_tags(model: Tagger, params: Params, sentences: EncodedSentences, k: int = 1) -> list[TagStrings]:
    """Finds the k best tag sequences of every sentence.

    Args:
        model: a tagger.
        params: its parameters.
        sentences: words as ids; their tags are not read.
        k: number of sequences.

    Returns:
        The sequences of each sentence, best first.
    """
    found: list[TagStrings | None] = [None] * len(sentences.lengths)
    for rows, places, mask in _batches(sentences.lengths, None):
        inputs = TaggerInputs(jnp.asarray(sentences.words[places]), jnp.asarray(sentences.characters[places]))
        best, probabilities = jax.tree.map(np.asarray, _predict(model)(params, inputs, mask, k))
        for column, row in enumerate(rows):
            if row >= 0:
                length, real = sentences.lengths[row], best.scores[:, column] > -np.inf
                found[row] = TagStrings(
                    best.labels[real, :length, column], best.scores[real, column], probabilities[:length, column]
                )
    return [one for one in found if one is not None]


def _batches(lengths: Sequence[int] | np.ndarray, progress: ProgressFn | None):
    """Yields rows [B], places of their words [T, B] (0 at padding), and the mask [T, B]."""
    lengths = np.asarray(lengths)
    starts = np.cumsum(lengths) - lengths
    batches = in_order(lengths, ROWS)
    for number, (rows, longest) in enumerate(zip(batches.rows, batches.lengths, strict=True), 1):
        steps = np.arange(longest)[:, None]
        mask = steps < np.where(rows >= 0, lengths[rows], 0)
        yield rows, np.where(mask, starts[rows] + steps, 0), mask
        if progress is not None:
            progress(number, len(batches.rows))


@functools.cache
def _score(model):
    @jax.jit
    def score(params, inputs, tags, mask):
        return model.log_prob(params, inputs, tags, mask=mask), model.n_best(params, inputs, 1, mask=mask).labels[0]

    return score


@functools.cache
def _predict(model):
    @functools.partial(jax.jit, static_argnums=3)
    def predict(params, inputs, mask, k):
        best = model.n_best(params, inputs, k, mask=mask)
        marginals = model.marginals(params, inputs, mask=mask)
        return best, jnp.take_along_axis(marginals, best.labels[0][..., None], axis=-1)[..., 0]

    return predict
