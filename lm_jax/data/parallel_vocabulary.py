"""The vocabularies of a translator, one for each language, and how sentences become tokens and tokens sentences."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lm_jax.data.tokenizers import join_words, reading_of, split_words
from lm_jax.data.vocabulary import Vocabulary, build_vocabulary
from lm_jax.errors import UserError
from lm_jax.strict_json import read_json, write_json


@dataclasses.dataclass(frozen=True)
class ParallelVocabulary:
    """Vocabulary entries of source and target, both of one level, and how a sentence becomes ids.

    tokenizer: of words. lower: everything in lower case.
    """

    source: Vocabulary
    target: Vocabulary
    tokenizer: str = "joined"
    lower: bool = False

    @property
    def level(self) -> str:
        """What a token is: "char", "word" or "bpe"."""
        return self.source.level

    @property
    def sha256(self) -> str:
        """A fingerprint of all of it."""
        contents = [self.source.sha256, self.target.sha256, self.tokenizer, self.lower]
        return hashlib.sha256(json.dumps(contents).encode()).hexdigest()

    @property
    def unk_id(self) -> int:
        """The id of what was never seen in the source; without a type for it, that of the line end, which it lacks."""
        return self.source.eol_id if self.source.unk_id is None else self.source.unk_id

    def encode_source(self, text: str) -> np.ndarray:
        """Returns the ids of a sentence to be translated, int32 [S]; what was never seen in training is unknown."""
        if self.level == "bpe":
            return self.source.encode(self._plain(text))
        tokens = self.source_tokens(text)
        return np.asarray([self.source.ids.get(token, self.unk_id) for token in tokens], np.int32)

    def encode_target(self, text: str) -> np.ndarray:
        """Returns the ids of a translation with its end, int32 [T].

        Raises UserError for a character that the vocabulary lacks.
        """
        return self.target.encode(self.target_text(text) + "\n")

    def target_text(self, text: str) -> str:
        """Returns a translation as a language model of the same level reads it: words with spaces between them."""
        plain = self._plain(text)
        return " ".join(split_words(plain, self.tokenizer)) if self.level == "word" else plain

    def source_tokens(self, text: str) -> list[str]:
        """Returns the tokens of a sentence as they are spelled."""
        plain = self._plain(text)
        if self.level == "word":
            return split_words(plain, self.tokenizer)
        return list(plain) if self.level == "char" else _spelled(self.source, self.source.encode(plain))

    def target_tokens(self, ids: Iterable[int]) -> list[str]:
        """Returns the tokens of a translation as they are spelled."""
        ids = list(ids)
        return _spelled(self.target, ids) if self.level == "bpe" else [self.target.tokens[i] for i in ids]

    def join(self, tokens: Sequence[str]) -> str:
        """Returns the sentence of tokens as they are spelled: for words, of which some may be copied."""
        return join_words(tokens, self.tokenizer)

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the translation of ids without its end."""
        ids = [int(i) for i in ids if i != self.target.eol_id]
        return self.join(self.target_tokens(ids)) if self.level == "word" else self.target.decode(ids)

    def _plain(self, text):
        text = " ".join(text.split())
        return text.lower() if self.lower else text

    def save(self, path: Path) -> None:
        """Writes JSON."""
        record = {"source": self.source.to_record(), "target": self.target.to_record()}
        record |= {"tokenizer": self.tokenizer, "lower": self.lower, "sha256": self.sha256}
        write_json(path, record, indent=0)

    @classmethod
    def load(cls, path: Path) -> "ParallelVocabulary":
        """Reads what `save` wrote; raises UserError if it does not match its fingerprint."""
        record = read_json(path)
        tokenizer, lower = reading_of(record, path)
        source, target = (Vocabulary.from_record(record.get(side), path) for side in ("source", "target"))
        vocabulary = cls(source, target, tokenizer, lower)
        if vocabulary.sha256 != record.get("sha256"):
            raise UserError(f"the vocabulary must match its sha256, got a changed file: {path}")
        return vocabulary


def _spelled(vocabulary, ids):
    return [vocabulary.decode([int(i)]) for i in ids]


def build_side(
    level: str, tokenizer: str, train: Sequence[str], others: Sequence[str], min_count: int, max_size: int | None
) -> Vocabulary:
    """Makes the vocabulary of one language from its training sentences.

    Of characters those of the other splits are known too: an alphabet is known, not learnt.

    Args:
        level: "char", "word" or "bpe".
        tokenizer: How a sentence is split into words, see `split_words`.
        train: The training sentences.
        others: The sentences of the other splits.
        min_count: Words rarer than it become `<unk>`.
        max_size: The most entries; None for no limit.

    Raises:
        UserError: For limits on characters.
    """
    if level == "word":
        text = "\n".join(" ".join(split_words(sentence, tokenizer)) for sentence in train) + "\n"
        return build_vocabulary("word", text, (), min_count, max_size, unknown=True)
    return build_vocabulary(level, "\n".join(train) + "\n", ["\n".join(others)], min_count, max_size)
