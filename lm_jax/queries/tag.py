"""The tags of sentences, under a trained tagger."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lm_jax.data import spans
from lm_jax.data.tag_vocabulary import EncodedSentences
from lm_jax.errors import UserError, check_sizes
from lm_jax.inference.tagging import TagStrings, best_tags
from lm_jax.models.build_tagger import word_length
from lm_jax.queries.loaded_run import LoadedRun, RunLike, UserCell, as_loaded
from lm_jax.queries.texts import checked_text, checked_texts
from lm_jax.report.html import table_html
from lm_jax.report.table import Table
from lm_jax.short_repr import short_text, shortly_shown


MOST = 1000  # tag sequences of a sentence: all their beginnings are in memory


@shortly_shown
class TagString(NamedTuple):
    """A tag sequence for a sentence, and its log-probability in nats."""

    tags: list[str]
    log_prob: float


class TextSpan(NamedTuple):
    """Words start to end - 1 of a sentence, of one kind, as a text."""

    kind: str
    start: int
    end: int
    text: str


class TaggedSentence(NamedTuple):
    """Words with their tags, and the probability of each tag.

    spans: where tags are BIO or IOBES. best: the most probable tag sequences, the first of which is `tags`.
    """

    words: list[str]
    tags: list[str]
    probabilities: list[float]
    spans: list[TextSpan]
    best: list[TagString]

    def __repr__(self) -> str:
        return short_text(" ".join(f"{word}/{tag}" for word, tag in zip(self.words, self.tags, strict=True)))

    def _repr_html_(self) -> str:
        return table_html(self.table())

    def table(self) -> Table:
        """Returns a row for each word, with its tag and the probability of that."""
        rows = zip(self.words, self.tags, (f"{p:.1%}" for p in self.probabilities), strict=True)
        return Table(("word", "tag", "probability"), tuple(rows), words=2)


def tag(run: RunLike, sentence: str | Sequence[str], n_best: int = 1, cell: UserCell | None = None) -> TaggedSentence:
    """Tags one sentence.

    Args:
        run: The folder of a tagger's run, or a run that is loaded.
        sentence: Words with white space between, or a list of words.
        n_best: Number of tag sequences; there are fewer if no more are legal.
        cell: The user's own cell that the run was trained with.

    Returns:
        The words with their tags.

    Raises:
        UserError: For no run of a tagger, a sentence without a word or with too many, and an n_best that is not from 1
            to 1,000.
    """
    return tag_sentences(run, [sentence], n_best, cell)[0]


def tag_sentences(
    run: RunLike, sentences: Sequence[str | Sequence[str]], n_best: int = 1, cell: UserCell | None = None
) -> list[TaggedSentence]:
    """Tags many sentences, as `tag` does each; in batches, so that it is faster.

    Args:
        run: The folder of a tagger's run, or a run that is loaded.
        sentences: Each of them words with white space between, or a list of words.
        n_best: Number of tag sequences of each; there are fewer if no more are legal.
        cell: The user's own cell that the run was trained with.

    Returns:
        The words of each sentence with their tags.

    Raises:
        UserError: For no run of a tagger, one sentence in the place of several, a sentence without a word or with too
            many, and n_best below 1.
    """
    check_sizes(n_best=n_best)
    if n_best > MOST:
        raise UserError(f"n_best must be at most {MOST:,}, got {n_best:,}", ["n_best"])
    loaded = as_loaded(run, cell, "tagger")
    sentences = checked_texts(sentences, "sentences")
    if not sentences:
        return []
    split = [words_of(loaded, sentence) for sentence in sentences]
    config, words = loaded.config.model, [word for one in split for word in one]
    ids, characters, unseen = loaded.vocabulary.encode_words(words, word_length(config), config.fold_case)
    lengths = np.array([len(words) for words in split])
    encoded = EncodedSentences(ids, characters, unseen, np.zeros_like(ids), lengths)
    found = best_tags(loaded.model, loaded.params, encoded, n_best)
    return [_named(loaded.vocabulary, words, strings) for words, strings in zip(split, found, strict=True)]


def _named(vocabulary, words: list[str], found: TagStrings) -> TaggedSentence:
    best = [
        TagString([vocabulary.tags[i] for i in tags], float(log_prob))
        for tags, log_prob in zip(found.tags, found.log_probs, strict=True)
    ]
    marked = [] if vocabulary.scheme is None else spans.spans(best[0].tags)
    return TaggedSentence(
        words,
        best[0].tags,
        found.probabilities.tolist(),
        [TextSpan(*span, " ".join(words[span.start : span.end])) for span in marked],
        best,
    )


def words_of(run: LoadedRun, sentence: str | Sequence[str]) -> list[str]:
    """Returns the words of a sentence; raises UserError for one without a word, or with too many."""
    words, limit = sentence.split() if isinstance(sentence, str) else _listed(sentence), run.config.data.max_length
    if not words or not all(words):
        raise UserError(f"a sentence must hold words, got {sentence!r}")
    if len(words) > limit:
        raise UserError(f"a sentence has at most {limit:,} words, the run's max_length, got {len(words):,}")
    return words


def _listed(sentence):
    return [checked_text(word, "a word") for word in checked_texts(sentence, "words")]
