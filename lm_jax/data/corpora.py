"""Texts: the embedded default, a file split by position, or a folder; and the tokens made of them."""

import dataclasses
import functools
import itertools
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lm_jax.config.text_defaults import text_defaults
from lm_jax.data.encoding_cache import cached_encoding
from lm_jax.data.sources import how_read, joined
from lm_jax.data.standard_input import is_stream
from lm_jax.data.texts import SPLITS, Texts, as_bytes, open_texts
from lm_jax.data.tokenizers import split_words
from lm_jax.data.vocabulary import UNKNOWN, Vocabulary, build_vocabulary
from lm_jax.data.word_types import word_types
from lm_jax.errors import UserError
from lm_jax.mapped import Column, blocks


CACHE_FROM = 1_000_000  # characters; shorter texts are encoded anew each time


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Tokens and how to read them.

    train, valid, test: int32 ids. characters, bytes: of each text. min_count: occurrences below which a word is <unk>.
    reading: how a folder was read, for a person. origin: of the vocabulary, where it is not that of this text.
    stream: the bytes of a source that can be read only once; None of any other.
    """

    source: str
    sha256: str
    vocabulary: Vocabulary
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    characters: dict[str, int]
    bytes: dict[str, int]
    min_count: int = 1
    reading: str = ""
    origin: str = ""
    stream: Any = None

    @property
    def record(self) -> dict[str, Any]:
        """JSON values that a run folder keeps of its text."""
        return {
            "source": self.source,
            "sha256": self.sha256,
            "tokens": {split: len(getattr(self, split)) for split in SPLITS},
            "characters": self.characters,
            "vocabulary": len(self.vocabulary),
        }

    @property
    def phrases(self) -> tuple[str, ...]:
        """The vocabulary and the training text in a few words each."""
        unknown = unknown_rate(self.vocabulary, self.train)
        share = f", {unknown:.2%} unknown" if unknown else ""
        return (
            *filter(None, (self.reading, self.origin)),
            f"vocabulary {len(self.vocabulary):,} ({self.vocabulary.level})",
            f"{len(self.train):,} tokens per epoch{share}",
        )

    def bits_per_byte(self, split: str, cross_entropy: float) -> float:
        """Converts nats per token of a split to bits per byte of its text."""
        return bits_per(self.bytes[split], cross_entropy, len(getattr(self, split)))


def bits_per(units: float, cross_entropy: float, tokens: int) -> float:
    """Spreads the bits of a text over its units.

    Args:
        units: The number of its characters or bytes.
        cross_entropy: In nats per token.
        tokens: The number of its tokens.
    """
    return cross_entropy * tokens / math.log(2) / units


def unknown_rate(vocabulary: Vocabulary, tokens: np.ndarray) -> float:
    """Returns the share of tokens that are the unknown word."""
    if vocabulary.unk_id is None:
        return 0.0
    return sum(np.count_nonzero(some == vocabulary.unk_id) for some in blocks(tokens)) / max(1, len(tokens))


def load_corpus(
    data: str | None = None,
    level: str = "char",
    vocabulary: Vocabulary | None = None,
    *,
    text_column: str = "text",
    min_count: int | None = 1,
    max_vocab: int | None = None,
    texts: Any = None,
    tokenizer: str = "whitespace",
    lower: bool = False,
) -> Corpus:
    """Loads a corpus, with a vocabulary of its own or a given one.

    Args:
        data: None (the Python documentation topics that every CPython carries); a text file (the first 90 % of its
            characters for training, 5 % for validation, 5 % for testing, cut at line ends), or "-" for standard input;
            a folder with train, valid and test as .txt, .csv, .json(l) or .parquet, or with .txt files of other names,
            which are joined and split like one file; or a name of `lm_jax.data.sources.HUB`.
        level: "char", "byte", "word" or "bpe".
        vocabulary: A vocabulary to encode by. Default: that of the training text.
        text_column: The column of tables that has the text.
        min_count: Words rarer than it become `<unk>`; None is chosen as by a run (`text_defaults`).
        max_vocab: The most entries of the vocabulary, of words and of bpe.
        texts: The texts of `data`, where `open_texts` or `load_texts` has opened them already.
        tokenizer: How a text is split into words, see `split_words`.
        lower: Whether words are in lower case.

    Raises:
        UserError: For what cannot be read as text.
    """
    texts = open_texts(data, level, text_column) if texts is None else texts
    least = _min_count(texts, tokenizer, lower) if min_count is None else min_count

    def build():
        options = {"tokenizer": tokenizer, "lower": lower}
        built = vocabulary or _build_vocabulary(texts, level, least, max_vocab, options)
        return built, {split: _encode(built, texts, split) for split in SPLITS}

    if sum(texts.characters.values()) < CACHE_FROM:
        encoder, arrays = build()
    else:
        given = None if vocabulary is None else vocabulary.sha256
        options = [least, max_vocab] + ([tokenizer, lower] if (tokenizer, lower) != ("whitespace", False) else [])
        encoder, arrays = cached_encoding(
            {"text": texts.sha256, "level": level, "options": options, "vocabulary": given}, build
        )
    if len(encoder) < 2:
        raise UserError(f"a vocabulary needs at least 2 entries, got {len(encoder)} in {texts.source}")
    return Corpus(
        source=texts.source,
        sha256=texts.sha256,
        vocabulary=encoder,
        characters=texts.characters,
        bytes=texts.bytes,
        min_count=least,
        reading=how_read(data),
        stream=as_bytes(joined(texts.train, texts.valid, texts.test)) if is_stream(data) else None,
        train=arrays["train"],
        valid=arrays["valid"],
        test=arrays["test"],
    )


def _min_count(texts, tokenizer, lower):
    tokens = 0
    for block in texts.blocks("train") if texts.level == "word" else [UNKNOWN]:
        if UNKNOWN in block:
            return 1
        tokens += len(split_words(block, tokenizer, lower)) + block.count("\n")
    return text_defaults("word", tokens).min_count


def _build_vocabulary(texts, level, min_count, max_size, splitting):
    if isinstance(texts, Texts):
        return build_vocabulary(level, texts.train, (texts.valid, texts.test), min_count, max_size, **splitting)
    others = itertools.chain(texts.blocks("valid"), texts.blocks("test"))
    split = functools.partial(split_words, **splitting)
    return Vocabulary(level, word_types(texts.blocks("train"), others, min_count, max_size, split=split), **splitting)


def _encode(vocabulary, texts, split):
    if isinstance(texts, Texts):
        return vocabulary.encode(getattr(texts, split), texts.first_line(split))
    line = texts.first_line(split)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        tokens = Column(Path(folder) / split, np.int32)
        for block in texts.blocks(split):
            tokens.append(vocabulary.encode(block, line))
            line += block.count("\n")
        return tokens.array()  # a map of a file that has no name any more
