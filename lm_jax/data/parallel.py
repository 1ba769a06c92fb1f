"""A corpus of parallel text as token ids."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lm_jax.data.dates import date_pairs
from lm_jax.data.parallel_files import Pair, PairSplits, read_parallel
from lm_jax.data.parallel_vocabulary import ParallelVocabulary, build_side
from lm_jax.errors import UserError


DATES = "dates made by the program"


class PairTokens(NamedTuple):
    """The pairs of a split: ids of each source int32 [S_n], of each target with its end int32 [T_n], and the texts."""

    sources: list[np.ndarray]
    targets: list[np.ndarray]
    pairs: list[Pair]

    @property
    def source_lengths(self) -> np.ndarray:
        """Tokens of each source."""
        return np.asarray([len(one) for one in self.sources])

    @property
    def target_lengths(self) -> np.ndarray:
        """Tokens of each target, its end included."""
        return np.asarray([len(one) for one in self.targets])


@dataclasses.dataclass(frozen=True)
class ParallelCorpus:
    """Pairs by split, and how to read them. sha256: of all texts; padding: its share of the training batches."""

    source: str
    sha256: str
    vocabulary: ParallelVocabulary
    splits: Mapping[str, PairTokens]
    padding: float = 0.0

    @property
    def record(self) -> dict[str, Any]:
        """JSON values that a run folder keeps of its texts."""
        return {
            "source": self.source,
            "sha256": self.sha256,
            "pairs": {split: len(pairs.pairs) for split, pairs in self.splits.items()},
            "source_vocabulary": len(self.vocabulary.source),
            "target_vocabulary": len(self.vocabulary.target),
        }

    @property
    def phrases(self) -> tuple[str, ...]:
        """The vocabularies and the training pairs in a few words each."""
        vocabulary, train = self.vocabulary, self.splits["train"]
        lengths = f"{train.source_lengths.mean():.0f} and {train.target_lengths.mean():.0f}"
        unknown = np.mean(np.concatenate(self.splits["valid"].sources) == vocabulary.unk_id)
        return (
            f"vocabularies {len(vocabulary.source):,} and {len(vocabulary.target):,} ({vocabulary.level})",
            f"{len(train.pairs):,} pairs of {lengths} tokens",
            f"{unknown:.1%} of the validation source unknown",
            f"{self.padding:.0%} padding",
        )


def read_pairs(data: str | None, source: str, target: str, whole: bool = False) -> tuple[str, PairSplits]:
    """Reads pairs by split, and says where they come from; without data those that the program makes.

    Args:
        data: A file or a folder, see `read_parallel`; None for dates that the program makes.
        source: The language that is translated: the ending of its files, or its column.
        target: The other language.
        whole: Whether one file is all of "all", see `read_parallel`.

    Raises:
        UserError: For anything that is not there or cannot be read.

    """
    if data is not None:
        return data, read_parallel(data, source, target, whole)
    made = date_pairs().items()
    return DATES, {split: [Pair(*one, f"date {k} of {split}") for k, one in enumerate(of, 1)] for split, of in made}


def fingerprint(splits: PairSplits) -> str:
    """Returns a fingerprint of the texts."""
    contents = {split: [(pair.source, pair.target) for pair in pairs] for split, pairs in splits.items()}
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def build_parallel_vocabulary(
    splits: PairSplits, level: str, tokenizer: str, lower: bool, min_count: int, max_vocab: int | None
) -> ParallelVocabulary:
    """Makes the vocabularies of the training pairs, one for each language.

    Args:
        splits: The pairs by split.
        level: "char", "word" or "bpe".
        tokenizer: How a sentence is split into words, see `split_words`.
        lower: Whether sentences are in lower case.
        min_count: Words rarer than it become `<unk>`.
        max_vocab: The most entries of each language; None for no limit.

    Raises:
        UserError: For limits on characters.
    """
    sides = []
    for side in ("source", "target"):
        texts = {split: [_lowered(getattr(pair, side), lower) for pair in of] for split, of in splits.items()}
        train = texts.pop("train")
        others = [text for of in texts.values() for text in of]
        sides.append(build_side(level, tokenizer, train, others, min_count, max_vocab))
    return ParallelVocabulary(sides[0], sides[1], tokenizer, lower)


def _lowered(text, lower):
    return text.lower() if lower else text


def encode_pairs(vocabulary: ParallelVocabulary, pairs: list[Pair], max_length: int) -> PairTokens:
    """Encodes the pairs of a split; raises UserError for a sentence of more than max_length tokens.

    Args:
        vocabulary: The vocabularies of the two languages.
        pairs: The pairs of a split.
        max_length: The most tokens of a sentence.

    Raises:
        UserError: For a sentence that is longer.
    """
    sources, targets = [], []
    for pair in pairs:
        source, target = vocabulary.encode_source(pair.source), encode_target(vocabulary, pair)
        for side, length in (("source", len(source)), ("target", len(target) - 1)):
            if length > max_length:
                raise UserError(
                    f"a sentence has at most max_length tokens, {max_length:,}, got a {side} of {length:,} in "
                    f"{pair.place}",
                    ["max_length"],
                )
        sources.append(source)
        targets.append(target)
    return PairTokens(sources, targets, pairs)


def encode_target(vocabulary: ParallelVocabulary, pair: Pair) -> np.ndarray:
    """Encodes the target of a pair; raises UserError, which names its place, for what has no type."""
    try:
        return vocabulary.encode_target(pair.target)
    except UserError as error:
        rule = str(error).rpartition(" in line")[0] or str(error)
        raise UserError(f"{rule} in {pair.place}", error.settings) from error
