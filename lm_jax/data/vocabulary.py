"""Vocabularies: text to token ids and back, at the level of characters, bytes or words.

The vocabulary of a model is exactly what it can predict. One of its types ends a line: the newline itself at
character and byte level, `</s>` at word level. `<unk>` is a type only where the text has it, or where a validation
or test text has a word that the training text lacks.
"""

import codecs
import dataclasses
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lm_jax.errors import UserError


END_OF_LINE = "</s>"
UNKNOWN = "<unk>"
BYTES = tuple(f"{i:02x}" for i in range(256))


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The types of a text in the order of their ids.

    level: "char", "byte" or "word". tokens: one string a type (two hexadecimal digits at byte level).
    """

    level: str
    tokens: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    @functools.cached_property
    def ids(self) -> dict[str, int]:
        """From type to id."""
        return {token: i for i, token in enumerate(self.tokens)}

    @property
    def eol_id(self) -> int:
        """The id of the type that ends a line; also the first input of every stream."""
        return 10 if self.level == "byte" else self.ids["\n" if self.level == "char" else END_OF_LINE]

    @property
    def unk_id(self) -> int | None:
        """The id of the unknown word, or None."""
        return self.ids.get(UNKNOWN) if self.level == "word" else None

    @property
    def sha256(self) -> str:
        """A fingerprint of level and types."""
        return hashlib.sha256(json.dumps([self.level, self.tokens]).encode()).hexdigest()

    def encode(self, text: str | bytes) -> np.ndarray:
        """The ids of a text, int32 [N]; every newline is an end-of-line token.

        Raises UserError for a character, or a word in a vocabulary without <unk>, that is not in the vocabulary.
        """
        if self.level == "byte":
            return np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8).astype(np.int32)
        return self._encode_characters(text) if self.level == "char" else self._encode_words(text)

    def _encode_characters(self, text):
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        own = [ord(token) for token in self.tokens]
        table = np.full(max([*own, int(points.max(initial=0))]) + 1, -1, np.int32)
        table[own] = np.arange(len(own))
        ids = table[points]
        if (ids < 0).any():
            at = int(np.argmin(ids))
            line = text.count("\n", 0, at) + 1
            raise UserError(f"every character must be in the vocabulary, got {text[at]!r} in line {line}")
        return ids

    def _encode_words(self, text):
        ids, eol = [], self.ids[END_OF_LINE]
        get = self.ids.get
        unknown = self.unk_id
        for number, line in enumerate(text.split("\n"), 1):
            words = line.split()
            row = [get(word, unknown) for word in words]
            if unknown is None and None in row:
                word = words[row.index(None)]
                raise UserError(
                    f"every word must be in the vocabulary, which has no {UNKNOWN}, got {word!r} in line {number}"
                )
            ids += row
            ids.append(eol)
        return np.asarray(ids[:-1], np.int32)  # the last piece has no newline after it

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids. Words are joined by spaces; bytes that are not UTF-8 become U+FFFD."""
        return "".join(self.pieces(ids))

    def pieces(self, ids: Iterable[int]) -> Iterable[str]:
        """The text of ids piece by piece, each as soon as it is complete: for output that streams."""
        if self.level == "char":
            yield from (self.tokens[i] for i in ids)
        elif self.level == "byte":
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            yield from (decoder.decode(bytes([i])) for i in ids)
            yield decoder.decode(b"", final=True)
        else:
            gap = ""
            for i in ids:
                yield "\n" if i == self.eol_id else gap + self.tokens[i]
                gap = "" if i == self.eol_id else " "

    def save(self, path: Path) -> None:
        """Writes JSON."""
        record = {"level": self.level, "sha256": self.sha256, "tokens": self.tokens}
        path.write_text(json.dumps(record, ensure_ascii=True, indent=0) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Reads what `save` wrote; raises UserError if the types do not match the fingerprint."""
        record = json.loads(path.read_text())
        vocabulary = cls(record["level"], tuple(record["tokens"]))
        if vocabulary.sha256 != record["sha256"]:
            raise UserError(f"the vocabulary must match its sha256, got a changed file: {path}")
        return vocabulary


def build_vocabulary(level: str, train: str | bytes, others: Iterable[str | bytes] = ()) -> Vocabulary:
    """The vocabulary of a training text.

    char: the sorted characters of all the texts, and the newline (an alphabet is known, not learned).
    byte: the 256 bytes. word: the words of the training text and `</s>`, by falling count, then by spelling; and
    `<unk>`, if one of the others has a word that the training text lacks.
    """
    if level == "byte":
        return Vocabulary(level, BYTES)
    if level == "char":
        return Vocabulary(level, tuple(sorted(set(train).union({"\n"}, *others))))
    counts = Counter(train.split())
    if END_OF_LINE in counts:
        raise UserError(f"the word {END_OF_LINE} stands for the end of a line and must not occur in a text")
    if UNKNOWN not in counts and any(word not in counts for text in others for word in text.split()):
        counts[UNKNOWN] = 0
    counts[END_OF_LINE] = train.count("\n")
    return Vocabulary(level, tuple(sorted(counts, key=lambda word: (-counts[word], word))))
