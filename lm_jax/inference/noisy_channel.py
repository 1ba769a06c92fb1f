"""The noisy channel: a sentence y was meant, x came out of a channel; which y was it?

    argmax over y of P(y | x) = argmax over y of P(x | y) P(y)              (Bayes; Brown et al. 1993)

P(x | y) is a translator in the other direction, P(y) a language model, which may have read far more text than there are
translations. Neither can be searched left to right, so the n-best list of a direct model is scored again and reranked
by a log-linear model (Och & Ney 2002; with networks Yee et al. 2019):

    score(y) = (w_1 log P(y | x) + w_2 log P(x | y) + w_3 log P(y)) / |y|^alpha + w_4 |y|

|y| counts the tokens of the direct model, the end included; alpha is the length penalty of its search. The first term
is what the search itself ranks by, a coverage penalty included, so that weights (1, 0, 0, 0) keep its order. Weights
are those of a grid with which the corpus measure of the reranked lists is largest, what Och (2003) minimises by line
search: four weights, of which one is a scale, are few enough to try all.

Each model reads text in its own tokens; words that it does not know are counted.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from lm_jax.data.parallel_vocabulary import ParallelVocabulary
from lm_jax.data.vocabulary import UNKNOWN, Vocabulary
from lm_jax.errors import UserError
from lm_jax.inference.likelihood import line_sums, token_log_probs
from lm_jax.inference.translation import pair_log_probs
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.translator import Translator
from lm_jax.short_repr import shortly_shown
from lm_jax.types import Params


STREAMS = 32  # sentences that the language model reads at a time
UNKNOWN_WORD = "\ue000"  # a sign that no text has: one unknown token to every model, which "<unk>" may not be


class Weights(NamedTuple):
    """Of log P(y | x), log P(x | y), log P(y) and |y|; by default the noisy channel itself."""

    direct: float = 0.0
    reverse: float = 1.0
    language_model: float = 1.0
    length: float = 0.0

    def check(self) -> None:
        """Raises UserError for weights that rank nothing."""
        if not all(map(math.isfinite, self)) or not any(self):
            raise UserError(f"weights must be finite numbers, not all 0, got {tuple(self)}", ["weights"])


@shortly_shown
class Candidate(NamedTuple):
    """A translation of an n-best list.

    search_score: what the direct search ranked by. direct, reverse, language_model: log P(y | x), log P(x | y) and
    log P(y) in nats, ends included. length: |y|. unknown_reverse, unknown_language_model: tokens of the translation
    that the model knows as unknown only.
    """

    text: str
    search_score: float
    direct: float
    reverse: float
    language_model: float
    length: int
    unknown_reverse: int
    unknown_language_model: int


@shortly_shown
class TextScores(NamedTuple):
    """log_probs: nats, float64 [N], of texts with their ends; unknown: their unknown tokens, int [N]."""

    log_probs: np.ndarray
    unknown: np.ndarray


class Grid(NamedTuple):
    """The weights that are tried. The first of each come first and win ties: by default those of the direct search."""

    direct: Sequence[float] = (1.0,)
    reverse: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
    language_model: Sequence[float] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5)
    length: Sequence[float] = (0.0, 0.01, -0.01, 0.02, -0.02, 0.05, -0.05, 0.1, -0.1, 0.3, -0.3, 1.0, -1.0)


GRID = Grid()


@shortly_shown
class Tuned(NamedTuple):
    """The best weights of a grid, and the corpus measure of what they choose."""

    weights: Weights
    value: float


def reverse_scores(
    model: Translator, params: Params, vocabulary: ParallelVocabulary, sources: Sequence[str], targets: Sequence[str]
) -> TextScores:
    """Computes log P(source | target) of pairs, by a translator that reads targets and writes sources.

    Args:
        model: the translator.
        params: its parameters.
        vocabulary: its vocabulary.
        sources: texts that it writes.
        targets: texts that it reads; an empty one is read as one unknown word.

    Returns:
        The log-probabilities and the numbers of unknown tokens.

    Raises:
        UserError: for a character that the model cannot write.
    """
    unknown = vocabulary.unk_id
    read = [vocabulary.encode_source(text) for text in targets]
    read = [ids if len(ids) else np.asarray([unknown], np.int32) for ids in read]
    written = [vocabulary.encode_target(text) for text in sources]
    log_probs = pair_log_probs(model, params, read, written, vocabulary.target.eol_id)
    return TextScores(log_probs, np.asarray([np.count_nonzero(ids == unknown) for ids in read], int))


def language_model_scores(
    model: LanguageModel, params: Params, vocabulary: Vocabulary, sentences: Sequence[str]
) -> TextScores:
    """Computes log P(sentence) of sentences, each by itself.

    Args:
        model: the language model.
        params: its parameters.
        vocabulary: its vocabulary.
        sentences: tokens of words with spaces between them.

    Returns:
        The log-probabilities and the numbers of unknown tokens.

    Raises:
        UserError: for text that the vocabulary cannot encode.
    """
    if not sentences:
        return TextScores(np.zeros(0), np.zeros(0, int))
    ids = vocabulary.encode("".join(sentence + "\n" for sentence in sentences))
    log_probs = token_log_probs(model, params, ids, vocabulary.eol_id, eval_streams=STREAMS, mode="sentence")
    unknown = np.zeros(len(ids)) if vocabulary.unk_id is None else ids == vocabulary.unk_id
    sums, counts = (line_sums(values, ids, vocabulary.eol_id)[0] for values in (log_probs, unknown))
    return TextScores(sums, counts.astype(int))


def readable(vocabulary: ParallelVocabulary, text: str) -> str:
    """Returns a translation for other models to read: with a word that none of them knows in place of unknown words."""
    return text if vocabulary.target.unk_id is None else text.replace(UNKNOWN, UNKNOWN_WORD)


def features(candidates: Sequence[Candidate], length_penalty: float) -> Float[np.ndarray, "K 4"]:
    """Returns the features of each candidate of a list; see the module."""
    rows = [
        (one.search_score, *(np.array([one.reverse, one.language_model]) / one.length**length_penalty), one.length)
        for one in candidates
    ]
    return np.asarray(rows, np.float64).reshape(-1, 4)


def stack(lists: Sequence[np.ndarray]) -> Float[np.ndarray, "N K F"]:
    """Puts lists [K_n, F], none of them empty, side by side; the last row of a shorter one is repeated.

    A repetition is never chosen: of equals the first is.
    """
    longest = max(map(len, lists))
    return np.stack([rows[np.minimum(np.arange(longest), len(rows) - 1)] for rows in lists])


def combine(values: Float[np.ndarray, "... 4"], weights: Weights) -> Float[np.ndarray, "..."]:
    """Returns weighted sums of features; a feature with weight 0 does not count, even if it is infinite."""
    used = np.flatnonzero(weights)
    return values[..., used] @ np.asarray(weights, np.float64)[used]


def choose(values: Float[np.ndarray, "N K 4"], weights: Weights) -> Int[np.ndarray, "N"]:
    """Returns the best of each list; ties go to the direct search's first."""
    return combine(values, weights).argmax(axis=-1)


def tune(
    values: Float[np.ndarray, "N K 4"],
    statistics: Float[np.ndarray, "N K S"],
    score: Callable[[np.ndarray], float],
    grid: Grid = GRID,
) -> Tuned:
    """Returns the weights of a grid whose choices are best.

    Args:
        values: features of the lists, of `stack`.
        statistics: of each candidate beside its reference, what a corpus measure sums up.
        score: the measure of sums [S]; more is better.
        grid: the weights that are tried. Of equally good ones the first is taken.
    """
    rows, best = np.arange(len(values)), None
    for tried in map(Weights._make, itertools.product(*grid)):
        value = score(statistics[rows, choose(values, tried)].sum(axis=0))
        if best is None or value > best.value:
            best = Tuned(tried, value)
    if best is None:
        raise UserError(f"a grid needs a value at least of each weight, got {tuple(grid)}")
    return best
