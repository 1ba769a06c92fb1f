"""How right the tags of a split are: accuracy, on words that training lacks too, F1 of spans, and a baseline."""

from typing import NamedTuple

import numpy as np

from lm_jax.data.spans import span_score
from lm_jax.data.tag_vocabulary import UNKNOWN_ID, EncodedSentences, TagVocabulary
from lm_jax.report.table import Table


class TagRow(NamedTuple):
    """Scores of one model on one split. unseen: words that training lacks; unseen_accuracy None where there is none.
    f1: of spans; None where tags mark none. cross_entropy in nats per word; None of what gives no probabilities."""

    split: str
    model: str
    tokens: int
    unseen: int
    accuracy: float
    unseen_accuracy: float | None
    f1: float | None
    cross_entropy: float | None

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers that there are, by name."""
        named = {name: getattr(self, name) for name in ("accuracy", "unseen_accuracy", "f1", "cross_entropy")}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def criterion(self) -> float:
        """What the best step is chosen by, lower is better: errors of spans, or of words."""
        return 1 - (self.accuracy if self.f1 is None else self.f1)


def score_row(
    split: str,
    model: str,
    vocabulary: TagVocabulary,
    sentences: EncodedSentences,
    tags: np.ndarray,
    cross_entropy: float | None = None,
) -> TagRow:
    """Compares tags with the true ones.

    Args:
        split: The name of the split.
        model: The name of the model.
        vocabulary: The vocabulary, with the tags and their scheme.
        sentences: N encoded words with their true tags.
        tags: Ids of the tags to compare, int [N].
        cross_entropy: Nats per tag; None for a model without probabilities.
    """
    right, unseen = tags == sentences.tags, sentences.unseen
    f1 = None
    if vocabulary.scheme is not None:
        f1 = span_score(_strings(vocabulary, sentences, sentences.tags), _strings(vocabulary, sentences, tags)).f1
    return TagRow(
        split=split,
        model=model,
        tokens=len(tags),
        unseen=int(unseen.sum()),
        accuracy=float(right.mean()),
        unseen_accuracy=float(right[unseen].mean()) if unseen.any() else None,
        f1=f1,
        cross_entropy=cross_entropy,
    )


def most_frequent_tags(vocabulary: TagVocabulary, train: EncodedSentences) -> np.ndarray:
    """Returns the tag that training gives each word most often, [V]; to `<unk>` the most frequent of all."""
    counts = np.zeros((len(vocabulary.words), len(vocabulary.tags)), int)
    np.add.at(counts, (train.words, train.tags), 1)
    counts[UNKNOWN_ID] = counts.sum(axis=0)
    return counts.argmax(axis=1)


DROP = ("words", "nats/word", "unseen words")  # of a narrow terminal, the first to go first


def score_table(rows: tuple[TagRow, ...]) -> Table:
    """Writes the rows as a table of texts, a section for each split."""
    with_spans = any(row.f1 is not None for row in rows)
    titles = ("split", "model", "words", "accuracy", "unseen words", *(["F1 of spans"] * with_spans), "nats/word")
    sections = [k for k in range(len(rows) - 1) if rows[k + 1].split != rows[k].split]
    return Table(titles, tuple(_texts(row, with_spans) for row in rows), words=2, sections=tuple(sections), drop=DROP)


def _texts(row, with_spans):
    unseen = "" if row.unseen_accuracy is None else f"{row.unseen_accuracy:.2%}"
    f1 = [] if not with_spans else ["" if row.f1 is None else f"{row.f1:.2%}"]
    nats = "" if row.cross_entropy is None else f"{row.cross_entropy:.4f}"
    return (row.split, row.model, f"{row.tokens:,}", f"{row.accuracy:.2%}", unseen, *f1, nats)


def _strings(vocabulary, sentences, tags):
    names = [vocabulary.tags[tag] for tag in tags]
    return [names[start : start + length] for start, length in zip(sentences.starts, sentences.lengths, strict=True)]
