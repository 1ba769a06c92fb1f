"""The three texts of a source: the embedded default, a file split by position, a folder, a large file by blocks."""

import dataclasses
import hashlib
import platform
from collections.abc import Iterator
from typing import Any

from lm_jax.data.blocks import line_blocks
from lm_jax.data.large_text import open_large
from lm_jax.data.sources import joined, read_source
from lm_jax.data.standard_input import STANDARD_INPUT, is_stream
from lm_jax.errors import UserError


SPLITS = ("train", "valid", "test")
TRAIN_SHARE, VALID_SHARE = 0.90, 0.05
SHARES = {"train": TRAIN_SHARE, "valid": TRAIN_SHARE + VALID_SHARE, "test": 1.0}


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
    def characters(self) -> dict[str, int]:
        """The characters of each split; at byte level its bytes."""
        return {split: len(getattr(self, split)) for split in SPLITS}

    @property
    def bytes(self) -> dict[str, int]:
        """The bytes of each split."""
        return {split: len(as_bytes(getattr(self, split))) for split in SPLITS}

    def blocks(self, split: str) -> Iterator[str]:
        """Yields a split of words in blocks of whole lines."""
        return line_blocks(getattr(self, split))

    @property
    def sha256(self) -> str:
        """A fingerprint of the three texts, the same at every level."""
        texts = [as_bytes(getattr(self, split)) for split in SPLITS]
        if any(b"\0" in text for text in texts):
            # only then could other splits be joined to the same bytes; the fingerprints of all others stay as they were
            texts.append(" ".join(str(len(text)) for text in texts).encode())
        return hashlib.sha256(b"\0".join(texts)).hexdigest()


def open_texts(data: str | None, level: str, text_column: str = "text") -> Any:
    """Opens the three texts of a source, as `load_texts` does; of a large file of words they are a `LargeText`, which
    is read block by block.

    Args:
        data: A source, as for `load_corpus`.
        level: "char", "byte", "word" or "bpe".
        text_column: The column of tables that has the text.

    Raises:
        UserError: For what cannot be read as text.
    """
    large = open_large(data, SHARES) if level == "word" and not is_stream(data) else None
    return load_texts(data, level, text_column) if large is None else large


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
