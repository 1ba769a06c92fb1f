"""Texts: the embedded default, a file split by position, or a folder; and the tokens made of them."""

import dataclasses
import hashlib
import math
import platform
from typing import Any

import numpy as np

from lm_jax.config.text_defaults import text_defaults
from lm_jax.data.encoding_cache import cached_encoding
from lm_jax.data.sources import how_read, joined, read_source
from lm_jax.data.standard_input import STANDARD_INPUT, is_stream
from lm_jax.data.tokenizers import split_words
from lm_jax.data.vocabulary import UNKNOWN, Vocabulary, build_vocabulary
from lm_jax.errors import UserError


SPLITS = ("train", "valid", "test")
TRAIN_SHARE, VALID_SHARE = 0.90, 0.05
CACHE_FROM = 1_000_000  # characters; shorter texts are encoded anew each time


@dataclasses.dataclass(frozen=True)
class Texts:
    """The three texts of a corpus: str at char and word level, bytes at byte level; each ends with a newline.

    one_file: whether they are parts of one file, the one after the other.
    """

    source: str
    level: str
    train: str | bytes
    valid: str | bytes
    test: str | bytes
    one_file: bool = False

    def first_line(self, split: str) -> int:
        """Returns the number that the first line of a split has in its file."""
        before = SPLITS[: SPLITS.index(split)] if self.one_file else ()
        texts: list[Any] = [getattr(self, other) for other in before]
        return 1 + sum(text.count(b"\n" if isinstance(text, bytes) else "\n") for text in texts)

    @property
    def sha256(self) -> str:
        """A fingerprint of the three texts, the same at every level."""
        texts = [as_bytes(getattr(self, split)) for split in SPLITS]
        if any(b"\0" in text for text in texts):
            # only then could other splits be joined to the same bytes; the fingerprints of all others stay as they were
            texts.append(" ".join(str(len(text)) for text in texts).encode())
        return hashlib.sha256(b"\0".join(texts)).hexdigest()


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
    return 0.0 if vocabulary.unk_id is None else float(np.mean(tokens == vocabulary.unk_id))


def load_corpus(
    data: str | None = None,
    level: str = "char",
    vocabulary: Vocabulary | None = None,
    *,
    text_column: str = "text",
    min_count: int | None = 1,
    max_vocab: int | None = None,
    texts: Texts | None = None,
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
        texts: The texts of `data`, where they are read already.
        tokenizer: How a text is split into words, see `split_words`.
        lower: Whether words are in lower case.

    Raises:
        UserError: For what cannot be read as text.
    """
    texts = load_texts(data, level, text_column) if texts is None else texts
    splits = {split: getattr(texts, split) for split in SPLITS}
    least = _min_count(texts, tokenizer, lower) if min_count is None else min_count

    def build():
        others = texts.valid, texts.test
        built = vocabulary or build_vocabulary(
            level, texts.train, others, least, max_vocab, tokenizer=tokenizer, lower=lower
        )
        return built, {split: built.encode(text, texts.first_line(split)) for split, text in splits.items()}

    if sum(map(len, splits.values())) < CACHE_FROM:
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
        characters={split: len(text) for split, text in splits.items()},
        bytes={split: len(as_bytes(text)) for split, text in splits.items()},
        min_count=least,
        reading=how_read(data),
        stream=as_bytes(joined(*splits.values())) if is_stream(data) else None,
        train=arrays["train"],
        valid=arrays["valid"],
        test=arrays["test"],
    )


def _min_count(texts, tokenizer, lower):
    text = str(texts.train) if texts.level == "word" else UNKNOWN
    if UNKNOWN in text:
        return 1
    return text_defaults("word", len(split_words(text, tokenizer, lower)) + text.count("\n")).min_count


def load_texts(data: str | None, level: str, text_column: str = "text") -> Texts:
    """Loads the three texts of a source.

    Args:
        data: A source, as for `load_corpus`.
        level: "char", "byte", "word" or "bpe".
        text_column: The column of tables that has the text.

    Raises:
        UserError: For what cannot be read as text.
    """
    if data is None:
        text = default_text()
        source = f"pydoc_data.topics of Python {platform.python_version()}"
        return _split_by_position(source, level, text.encode() if level == "byte" else text)
    texts = read_source(data, level, text_column)
    if "all" in texts:
        source = "standard input" if data == STANDARD_INPUT else data
        return _split_by_position(source, level, texts["all"])
    return Texts(data, level, texts["train"], texts["valid"], texts["test"])


def load_whole_text(data: str | None, level: str, text_column: str = "text") -> str | bytes:
    """Loads all of a source as one text, not split.

    Args:
        data: A source, as for `load_corpus`.
        level: "char", "byte", "word" or "bpe"; a text of bytes is bytes.
        text_column: The column of tables that has the text.

    Raises:
        UserError: For what cannot be read as text.
    """
    if data is None:
        text = default_text()
        return text.encode() if level == "byte" else text
    texts = read_source(data, level, text_column)
    if "all" in texts:
        return texts["all"]
    return joined(texts["train"], texts["valid"], texts["test"])


def check_split(split: str) -> None:
    """Raises UserError unless it is one of the three, or "all"."""
    if split not in (*SPLITS, "all"):
        raise UserError(f"split must be one of {', '.join(SPLITS)} or all, got {split!r}", ["split"])


def load_split(data: str | None, level: str, text_column: str, split: str) -> str | bytes:
    """Loads one split of a source, or all of it.

    Args:
        data: A source, as for `load_corpus`.
        level: "char", "byte", "word" or "bpe"; a text of bytes is bytes.
        text_column: The column of tables that has the text.
        split: "train", "valid", "test" or "all".

    Raises:
        UserError: For what cannot be read as text.
    """
    if split == "all":
        return load_whole_text(data, level, text_column)
    return getattr(load_texts(data, level, text_column), split)


def default_text() -> str:
    """Returns the help topics of the running Python: about 465,000 characters of English with some code."""
    from pydoc_data.topics import topics

    return "".join(text if text.endswith("\n") else text + "\n" for text in topics.values())


def as_bytes(text: str | bytes) -> bytes:
    """Returns the bytes of a text in UTF-8."""
    return text if isinstance(text, bytes) else text.encode()


def _split_by_position(source: str, level: str, text: Any) -> Texts:
    newline: Any = b"\n" if isinstance(text, bytes) else "\n"

    def cut_near(position):
        return text.find(newline, int(position)) + 1

    first = cut_near(TRAIN_SHARE * len(text))
    second = cut_near((TRAIN_SHARE + VALID_SHARE) * len(text))
    parts = (text[:first], text[first:second], text[second:])
    if not all(parts):
        raise UserError(
            f"a file that is split 90/5/5 at line ends needs more lines, got {text.count(newline)} in {source}; "
            "20 of the same length are enough"
        )
    return Texts(source, level, *parts, one_file=True)
