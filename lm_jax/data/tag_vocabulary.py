"""Vocabularies of a tagger: words, their characters, and tags; and sentences as arrays of ids.

Words and characters are those of the training data, after `<unk>`, whose id is 0. A word that training lacks is
`<unk>`, or, where case is folded, a word that differs from it in case alone; its characters are read as they are.
"""

import dataclasses
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lm_jax.data.spans import scheme_of
from lm_jax.data.tagged_files import Sentence
from lm_jax.data.vocabulary import UNKNOWN
from lm_jax.data.vocabulary_faults import strings
from lm_jax.errors import UserError
from lm_jax.strict_json import read_json, write_json


UNKNOWN_ID = 0
NO_CHARACTER = -1  # after the last of a word
_FIELDS = ("words", "counts", "characters", "tags")


class EncodedSentences(NamedTuple):
    """Sentences one after the other.

    words, characters [N], [N, W]: ids, -1 after the last character of a word. unseen [N]: whether training lacks the
    word as it is written. tags [N]. lengths [S].
    """

    words: np.ndarray
    characters: np.ndarray
    unseen: np.ndarray
    tags: np.ndarray
    lengths: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """The place of every sentence's first word, [S]."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]]).astype(int)


@dataclasses.dataclass(frozen=True)
class TagVocabulary:
    """words, characters: with `<unk>` first. counts: how often training has each word (0 for `<unk>`). tags."""

    words: tuple[str, ...]
    counts: tuple[int, ...]
    characters: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def scheme(self) -> str | None:
        """BIO or IOBES, where the tags mark spans."""
        return scheme_of(self.tags)

    @property
    def sha256(self) -> str:
        """A fingerprint of everything."""
        return hashlib.sha256(json.dumps([getattr(self, name) for name in _FIELDS]).encode()).hexdigest()

    @functools.cached_property
    def word_ids(self) -> dict[str, int]:
        """The id of each word."""
        return {word: i for i, word in enumerate(self.words) if i != UNKNOWN_ID}

    @functools.cached_property
    def folded_ids(self) -> dict[str, int]:
        """The id of the most frequent word among those that differ in case alone, by their lower case."""
        ids: dict[str, int] = {}
        for word, i in self.word_ids.items():  # by falling count
            ids.setdefault(word.lower(), i)
        return ids

    def folded_rows(self) -> np.ndarray:
        """Returns for every word the most frequent one that differs from it only in case, int [V]."""
        return np.array([UNKNOWN_ID, *(self.folded_ids[word.lower()] for word in self.words[1:])], np.int32)

    @functools.cached_property
    def character_ids(self) -> dict[str, int]:
        """The id of each character."""
        return {character: i for i, character in enumerate(self.characters) if i != UNKNOWN_ID}

    def save(self, path: Path) -> None:
        """Writes JSON."""
        record = {name: getattr(self, name) for name in _FIELDS} | {"sha256": self.sha256}
        write_json(path, record, indent=0)

    @classmethod
    def load(cls, path: Path) -> "TagVocabulary":
        """Reads what `save` wrote; raises UserError if it does not match its fingerprint."""
        record = read_json(path)
        try:
            words, characters, tags = (tuple(strings(record[name], name)) for name in ("words", "characters", "tags"))
            counts = tuple(record["counts"])
            if len(counts) != len(words) or not all(isinstance(count, int) for count in counts):
                raise ValueError("it must have a count for each word")
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"a vocabulary must be whole, got {path}: {error}") from error
        vocabulary = cls(words, counts, characters, tags)
        if vocabulary.sha256 != record.get("sha256"):
            raise UserError(f"the vocabulary must match its sha256, got a changed file: {path}")
        return vocabulary

    def encode(self, sentences: Sequence[Sentence], word_length: int, fold_case: bool = False) -> EncodedSentences:
        """Returns the arrays of sentences whose tags are all known.

        Args:
            sentences: Words with a tag each.
            word_length: W, the characters that are read of a word; of a longer one the beginning and the end are.
            fold_case: Looks up words that training lacks without regard to case; see `encode_words`.
        """
        words = [word for sentence in sentences for word in sentence.words]
        tag_ids = {tag: i for i, tag in enumerate(self.tags)}
        tags = [tag_ids[tag] for sentence in sentences for tag in sentence.tags]
        lengths = np.array([len(sentence.words) for sentence in sentences], int)
        encoded = self.encode_words(words, word_length, fold_case)
        return EncodedSentences(*encoded, np.array(tags, np.int32), lengths)

    def encode_words(
        self, words: Sequence[str], word_length: int, fold_case: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns ids int32 [N], ids of characters int32 [N, W], and which words training lacks, bool [N].

        Args:
            words: The N words; `<unk>` itself has no characters.
            word_length: W, the characters that are read of a word; of a longer one the beginning and the end are.
            fold_case: A word that training lacks has the id of one that differs from it in case alone, where there is
                one.
        """
        types = {word: i for i, word in enumerate(dict.fromkeys(words))}
        folded = self.folded_ids if fold_case else {}
        ids = [self.word_ids.get(word, folded.get(word.lower(), UNKNOWN_ID)) for word in types]
        unseen = [word not in self.word_ids for word in types]
        characters = np.full((len(types), word_length), NO_CHARACTER, np.int32)
        for row, word in zip(characters, types, strict=True):
            letters = "" if word == UNKNOWN else _shortened(word, word_length)
            row[: len(letters)] = [self.character_ids.get(letter, UNKNOWN_ID) for letter in letters]
        places = np.fromiter((types[word] for word in words), int, len(words))
        return np.array(ids, np.int32)[places], characters[places], np.array(unseen, bool)[places]


def build_tag_vocabulary(sentences: Sequence[Sentence]) -> TagVocabulary:
    """Returns the vocabulary of the training sentences, each part by falling count, then by spelling.

    Raises UserError for a word `<unk>`, which stands for words that training lacks.
    """
    counts = Counter(word for sentence in sentences for word in sentence.words)
    if UNKNOWN in counts:
        raise UserError(f"the word {UNKNOWN} stands for unknown words and must not occur in the training data")
    letters: Counter[str] = Counter()
    for word, count in counts.items():
        for letter in word:
            letters[letter] += count
    tags = Counter(tag for sentence in sentences for tag in sentence.tags)
    words = _ranked(counts)
    return TagVocabulary(
        (UNKNOWN, *words), (0, *(counts[word] for word in words)), (UNKNOWN, *_ranked(letters)), _ranked(tags)
    )


def _ranked(counts):
    return tuple(sorted(counts, key=lambda name: (-counts[name], name)))


def _shortened(word, length):
    if len(word) <= length:
        return word
    last = length // 2
    return word[: length - last] + word[len(word) - last :]
