"""Vocabularies: text to token ids and back, at the level of characters, bytes, words or byte pairs.

The vocabulary of a model is exactly what it can predict. One of its types ends a line: the newline itself at
character and byte level, `</s>` at word level. `<unk>` is a type only where the text has it, or where a validation
or test text has a word that the training text lacks.
"""

import codecs
import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lm_jax.data import bpe
from lm_jax.data.blocks import line_blocks
from lm_jax.data.spacing import Spacing
from lm_jax.data.tokenizers import split_words
from lm_jax.data.vocabulary_faults import check_types
from lm_jax.data.word_types import END_OF_LINE, UNKNOWN, word_types
from lm_jax.errors import UserError
from lm_jax.strict_json import read_json, write_json


OUT_OF_VOCABULARY = "<oov>"
BPE_SIZE = 8192
SPLITTING = ("tokenizer", "lower")  # how words are split, see `split_words`
BYTES = tuple(f"{i:02x}" for i in range(256))


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The types of a text in the order of their ids.

    level: "char", "byte", "word" or "bpe". tokens: one string a type (two hexadecimal digits at byte level).
    merges: the JSON of a `tokenizers` tokenizer, at bpe level only. tokenizer, lower: how a text is split into words,
    see `split_words`, at word level only.
    """

    level: str
    tokens: tuple[str, ...]
    merges: str | None = None
    tokenizer: str = "whitespace"
    lower: bool = False

    def __repr__(self) -> str:
        return f"Vocabulary({self.level!r}, {len(self.tokens):,} tokens)"

    def __len__(self) -> int:
        return len(self.tokens)

    @functools.cached_property
    def ids(self) -> dict[str, int]:
        """The id of each type."""
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
        """A fingerprint of level, types, merges and the way to split words."""
        contents = [self.level, self.tokens] if self.merges is None else [self.level, self.tokens, self.merges]
        contents += self.splitting.values()
        return hashlib.sha256(json.dumps(contents).encode()).hexdigest()

    @property
    def splitting(self) -> dict[str, Any]:
        """How words are split, for records: nothing at white space, so that those from before there was a choice are
        as they were."""
        at_white_space = self.tokenizer == "whitespace" and not self.lower
        return {} if at_white_space else {name: getattr(self, name) for name in SPLITTING}

    def split(self, text: str) -> list[str]:
        """Returns the words of a text, without the ends of its lines, as a vocabulary of words reads them."""
        return split_words(text, self.tokenizer, self.lower)

    def encode(self, text: str | bytes, first_line: int = 1) -> np.ndarray:
        """Returns the ids of a text, int32 [N]; every newline is an end-of-line token.

        first_line: the number of its first line, for messages.
        Raises UserError for a character, or a word in a vocabulary without <unk>, that is not in the vocabulary, and
        for half a surrogate pair, which has no bytes.
        """
        if self.level == "byte":
            return self._encode_bytes(text, first_line)
        if self.level == "bpe":
            return self._encode_pairs(text)
        encode = self._encode_characters if self.level == "char" else self._encode_words
        return encode(text, first_line)

    def _encode_bytes(self, text, first_line):
        try:
            raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        except UnicodeEncodeError as error:
            line = text.count("\n", 0, error.start) + first_line
            raise UserError(
                f"a text must be Unicode, got the lone surrogate {text[error.start]!r} in line {line}"
            ) from error
        return np.frombuffer(raw, np.uint8).astype(np.int32)

    def _encode_pairs(self, text):
        ids = bpe.encode(str(self.merges), str(text), self.eol_id)
        if ids.max(initial=0) >= len(self):
            raise UserError(f"the merges of a bpe vocabulary must make its {len(self)} types, got type {ids.max()}")
        return ids

    def _encode_characters(self, text, first_line):
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        code_points = [ord(token) for token in self.tokens]
        table = np.full(max([*code_points, int(points.max(initial=0))]) + 1, -1, np.int32)
        table[code_points] = np.arange(len(code_points))
        ids = table[points]
        if (ids < 0).any():
            at = int(np.argmin(ids))
            line = text.count("\n", 0, at) + first_line
            raise UserError(f"every character must be in the vocabulary, got {text[at]!r} in line {line}")
        return ids

    def _encode_words(self, text, first_line):
        parts, unknown = [np.zeros(0, np.int32)], -1 if self.unk_id is None else self.unk_id
        for block in line_blocks(text):
            words = [word for line in block.split("\n") for word in (*self.split(line), END_OF_LINE)][:-1]
            ids = np.fromiter(map(self.ids.get, words, itertools.repeat(unknown)), np.int32, len(words))
            lines = block.count("\n")
            if (unknown < 0 and (ids < 0).any()) or np.count_nonzero(ids == self.eol_id) != lines:
                self._refuse_words(block, first_line)
            first_line += lines
            parts.append(ids)
        return np.concatenate(parts)

    def _refuse_words(self, text, first_line):
        for number, line in enumerate(text.split("\n"), first_line):
            for word in self.split(line):
                if word == END_OF_LINE:
                    raise UserError(f"the word {END_OF_LINE} stands for the end of a line, got it in line {number}")
                if word not in self.ids and self.unk_id is None:
                    raise UserError(
                        f"every word must be in the vocabulary, which has no {UNKNOWN}, got {word!r} in line {number}"
                    )

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of ids. Words are joined by spaces, simple ones as they are usually spaced (`Spacing`);
        bytes that are not UTF-8 become U+FFFD."""
        return "".join(self.pieces(ids))

    def pieces(self, ids: Iterable[int], after: str = "") -> Iterable[str]:
        """The text of ids piece by piece, each as soon as it is complete: for output that streams.

        after: the text that they follow; where words need a space after it, they begin with one.
        """
        if self.level == "char":
            yield from (self.tokens[i] for i in ids)
        elif self.level in ("byte", "bpe"):
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            yield from (decoder.decode(self._bytes(i)) for i in ids)
            yield decoder.decode(b"", final=True)
        else:
            yield from self._spaced(ids, after)

    def _spaced(self, ids, after):
        spacing = Spacing(self.tokenizer)
        for word in self.split(after.rpartition("\n")[2]):
            spacing.gap(word)
        parted = not after or after[-1].isspace()
        for i in ids:
            if i == self.eol_id:
                spacing = Spacing(self.tokenizer)
                yield "\n"
            else:
                gap = spacing.gap(self.tokens[i])
                yield self.tokens[i] if parted else gap + self.tokens[i]
            parted = False

    def _bytes(self, i):
        if self.level == "byte":
            return bytes([i])
        return b"\n" if i == self.eol_id else bytes(bpe.byte_of()[letter] for letter in self.tokens[i])

    def to_record(self) -> dict[str, Any]:
        """Returns the vocabulary as JSON values."""
        record = {"level": self.level, "sha256": self.sha256, "tokens": self.tokens, "merges": self.merges}
        return record | self.splitting

    @classmethod
    def from_record(cls, record: Mapping[str, Any], path: Path) -> "Vocabulary":
        """Makes what `to_record` returned; raises UserError for types that no vocabulary has, and if they do not match
        the fingerprint."""
        try:
            level, tokens, merges = record["level"], record["tokens"], record.get("merges")
            check_types(level, tokens, merges)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else error
            raise UserError(f"a vocabulary must be whole, got {path}: {reason}") from error
        splitting = {name: record[name] for name in SPLITTING if name in record}
        vocabulary = cls(level, tuple(tokens), merges, **splitting)
        if vocabulary.sha256 != record.get("sha256"):
            raise UserError(f"the vocabulary must match its sha256, got a changed file: {path}")
        return vocabulary

    def save(self, path: Path) -> None:
        """Writes JSON."""
        write_json(path, self.to_record(), indent=0)

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Reads what `save` wrote; raises UserError if the types do not match the fingerprint."""
        return cls.from_record(read_json(path), path)


def build_vocabulary(
    level: str,
    train: str | bytes,
    others: Iterable[str | bytes] = (),
    min_count: int = 1,
    max_size: int | None = None,
    unknown: bool = False,
    tokenizer: str = "whitespace",
    lower: bool = False,
) -> Vocabulary:
    """Returns the vocabulary of a training text.

    Args:
        level: "char": the sorted characters of all the texts, and the newline (an alphabet is known, not learned).
            "byte": the 256 bytes. "word": the words of the training text and `</s>`, by falling count, then by
            spelling. "bpe": byte pairs, merged until there are max_size types.
        train: The training text.
        others: The other texts; words that only they have become `<unk>`.
        min_count: Words rarer than it become `<unk>`.
        max_size: The most types; of words the most frequent stay beside `<unk>` and `</s>`; 8,192 by default for bpe.
        unknown: `<unk>` is a word even where no text needs it.
        tokenizer: How words are split, see `split_words`.
        lower: Whether words are in lower case.

    Raises:
        UserError: For a text with the word `</s>`, or limits where there is nothing to limit.
    """
    if level != "word" and (min_count > 1 or (max_size is not None and level != "bpe")):
        raise UserError(
            f"min_count and max_vocab are for words (max_vocab for bpe too), got level {level}",
            ["min_count", "max_vocab"],
        )
    if level == "byte":
        return Vocabulary(level, BYTES)
    if level == "char":
        alphabet: set[Any] = set(train).union({"\n"}, *others)
        return Vocabulary(level, tuple(sorted(alphabet)))
    if level == "bpe":
        if any(END_OF_LINE in str(text) for text in (train, *others)):
            raise UserError(f"{END_OF_LINE} stands for the end of a line and must not occur in a text")
        merges, tokens = bpe.learn(str(train), max_size or BPE_SIZE, END_OF_LINE)
        return Vocabulary(level, tokens, merges)
    types = word_types(
        line_blocks(str(train)),
        itertools.chain.from_iterable(line_blocks(str(text)) for text in others),
        min_count,
        max_size,
        unknown=unknown,
        split=functools.partial(split_words, tokenizer=tokenizer, lower=lower),
    )
    return Vocabulary(level, types, tokenizer=tokenizer, lower=lower)


def with_zero_count_type(vocabulary: Vocabulary) -> Vocabulary:
    """Adds to a word vocabulary one more type that no text has, as KenLM counts its <unk>: `<unk>`, or `<oov>`
    where `<unk>` is a word of the text. Raises UserError for other levels, or where the text has both."""
    if vocabulary.level != "word":
        raise UserError(f"the vocabulary convention of KenLM is for words, got level {vocabulary.level}")
    name = UNKNOWN if UNKNOWN not in vocabulary.ids else OUT_OF_VOCABULARY
    if name in vocabulary.ids:
        raise UserError(f"the vocabulary convention of KenLM adds {name}, got a text that has it and {UNKNOWN}")
    return dataclasses.replace(vocabulary, tokens=(*vocabulary.tokens, name))
