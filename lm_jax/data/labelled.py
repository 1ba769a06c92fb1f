"""A corpus of texts with a label each, as token ids."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lm_jax.data.label_vocabulary import LabelVocabulary
from lm_jax.data.labelled_files import LabelledText, Splits, read_labelled, split_at_random
from lm_jax.data.passages import library_passages
from lm_jax.data.tokenizers import split_words
from lm_jax.data.vocabulary import build_vocabulary
from lm_jax.errors import UserError


class LabelledTokens(NamedTuple):
    """Texts of a split: ids of each, int32 [T_n], its label's id, int32 [N], and the text."""

    tokens: list[np.ndarray]
    labels: np.ndarray
    texts: list[str]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text."""
        return np.asarray([len(one) for one in self.tokens])


@dataclasses.dataclass(frozen=True)
class LabelledCorpus:
    """Texts with labels by split, and how to read them. sha256: of all texts and labels."""

    source: str
    sha256: str
    vocabulary: LabelVocabulary
    splits: Mapping[str, LabelledTokens]

    @property
    def record(self) -> dict[str, Any]:
        """JSON values that a run folder keeps of its texts."""
        return {
            "source": self.source,
            "sha256": self.sha256,
            "texts": {split: len(texts.tokens) for split, texts in self.splits.items()},
            "vocabulary": len(self.vocabulary),
            "labels": len(self.vocabulary.labels),
        }

    @property
    def phrases(self) -> tuple[str, ...]:
        """The vocabulary, the labels and the training texts in a few words each."""
        train = self.splits["train"]
        vocabulary = self.vocabulary
        return (
            f"vocabulary {len(vocabulary):,} ({vocabulary.inputs.level})",
            f"{len(vocabulary.labels)} classes",
            f"{len(train.tokens):,} texts of {train.lengths.mean():.0f} tokens",
        )


def read_splits(data: str | None, text_column: str, label_column: str, whole: bool = False) -> tuple[str, Splits]:
    """Reads labelled texts by split, and says where they come from; without data those that Python carries.

    Args:
        data: A file or a folder, see `read_labelled`; None for passages of the standard library.
        text_column: The column of tables that has the text.
        label_column: The column that has the label.
        whole: Whether one file is all of "all", see `read_labelled`.

    Raises:
        UserError: For anything that is not there or cannot be read.

    """
    if data is None:
        source, passages = library_passages()
        return source, split_at_random([LabelledText(*one) for one in passages], source)
    return data, read_labelled(data, text_column, label_column, whole)


def fingerprint(splits: Splits) -> str:
    """Returns a fingerprint of texts and labels."""
    contents = {split: [(one.label, one.text) for one in texts] for split, texts in splits.items()}
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def build_label_vocabulary(
    splits: Splits, level: str, tokenizer: str, lower: bool, min_count: int, max_vocab: int | None
) -> LabelVocabulary:
    """Makes the vocabulary of the training texts and their labels.

    Args:
        splits: The texts by split.
        level: "char" or "word".
        tokenizer: How a text is split into words, see `split_words`.
        lower: Whether texts are in lower case.
        min_count: Words rarer than it become `<unk>`.
        max_vocab: The most entries; None for no limit.

    Raises:
        UserError: For fewer than two classes, and for limits on characters.
    """
    train = splits["train"]
    labels = tuple(sorted({one.label for one in train}))
    if len(labels) < 2:
        raise UserError(f"a classifier needs at least two classes, got {', '.join(labels)} alone")
    texts = [one.text.lower() if lower else one.text for one in train]
    if level == "char":
        if min_count > 1 or max_vocab is not None:
            raise UserError(
                f"min_count and max_vocab are for words, got level {level}", ["min_count", "max_vocab", "level"]
            )
        return LabelVocabulary(build_vocabulary("char", "\n".join(texts)), labels, tokenizer, lower)
    words = "\n".join(" ".join(split_words(text, tokenizer)) for text in texts)
    inputs = build_vocabulary("word", words, (), min_count, max_vocab, unknown=True)
    return LabelVocabulary(inputs, labels, tokenizer, lower)


def encode_split(vocabulary: LabelVocabulary, texts: list[LabelledText], max_length: int) -> LabelledTokens:
    """Encodes the texts of a split; raises UserError for a label without an id and for a text that is too long.

    Args:
        vocabulary: The vocabulary of texts and labels.
        texts: The texts of a split.
        max_length: The most tokens of a text.

    Raises:
        UserError: For a label that training lacks, and for a text that is too long.
    """
    tokens, labels = [], []
    for one in texts:
        ids = vocabulary.encode(one.text)
        if len(ids) > max_length:
            raise UserError(
                f"a text has at most max_length tokens, {max_length:,}, got {len(ids):,} in {one.place}",
                ["max_length"],
            )
        if one.label not in vocabulary.label_ids:
            known = ", ".join(vocabulary.labels[:10]) + (", ..." if len(vocabulary.labels) > 10 else "")
            raise UserError(f"a label must be one of training ({known}), got {one.label!r} in {one.place}")
        tokens.append(ids)
        labels.append(vocabulary.label_ids[one.label])
    return LabelledTokens(tokens, np.asarray(labels, np.int32), [one.text for one in texts])


def most_frequent(labels: np.ndarray) -> int:
    """Returns the most frequent label; of several the first."""
    return min(Counter(labels.tolist()).items(), key=lambda pair: (-pair[1], pair[0]))[0]
