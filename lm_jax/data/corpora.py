"""Texts: the embedded default, a file split by position, or a folder of three files; and the tokens made of them."""

import dataclasses
import hashlib
import platform
from pathlib import Path

import numpy as np

from lm_jax.data.vocabulary import Vocabulary, build_vocabulary
from lm_jax.errors import UserError


SPLITS = ("train", "valid", "test")
TRAIN_SHARE, VALID_SHARE = 0.90, 0.05


@dataclasses.dataclass(frozen=True)
class Texts:
    """The three texts of a corpus: str at char and word level, bytes at byte level; each ends with a newline."""

    source: str
    level: str
    train: str | bytes
    valid: str | bytes
    test: str | bytes

    @property
    def sha256(self) -> str:
        """A fingerprint of the three texts, the same at every level."""
        texts = [getattr(self, split) for split in SPLITS]
        return hashlib.sha256(b"\0".join(t if isinstance(t, bytes) else t.encode() for t in texts)).hexdigest()


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Tokens and how to read them. train, valid, test: int32 ids; characters: the length of each text."""

    source: str
    sha256: str
    vocabulary: Vocabulary
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    characters: dict[str, int]


def load_corpus(data: str | None = None, level: str = "char", vocabulary: Vocabulary | None = None) -> Corpus:
    """A corpus, with a vocabulary of its own or a given one.

    data: None (the Python documentation topics that every CPython carries), a text file (the first 90 % of its
    characters for training, 5 % for validation, 5 % for testing, cut at line ends) or a folder with train.txt,
    valid.txt and test.txt. level: "char", "byte" or "word". Raises UserError for what cannot be read as text.
    """
    texts = load_texts(data, level)
    if vocabulary is None:
        vocabulary = build_vocabulary(level, texts.train, (texts.valid, texts.test))
    if len(vocabulary) < 2:
        raise UserError(f"a vocabulary needs at least 2 types, got {len(vocabulary)} in {texts.source}")
    return Corpus(
        source=texts.source,
        sha256=texts.sha256,
        vocabulary=vocabulary,
        characters={split: len(getattr(texts, split)) for split in SPLITS},
        **{split: vocabulary.encode(getattr(texts, split)) for split in SPLITS},
    )


def load_texts(data: str | None, level: str) -> Texts:
    """The three texts of a source; see `load_corpus`."""
    if data is None:
        text = default_text()
        source = f"pydoc_data.topics of Python {platform.python_version()}"
        return _split_by_position(source, level, text.encode() if level == "byte" else text)
    path = Path(data).expanduser()
    if path.is_dir():
        files = {split: path / f"{split}.txt" for split in SPLITS}
        missing = [file.name for file in files.values() if not file.is_file()]
        if missing:
            raise UserError(f"a data folder needs train.txt, valid.txt and test.txt, got {data} without {missing[0]}")
        return Texts(str(path), level, **{split: read_text(file, level) for split, file in files.items()})
    if not path.exists():
        raise UserError(f"--data must be an existing text file or folder, got {data}")
    return _split_by_position(str(path), level, read_text(path, level))


def default_text() -> str:
    """The help topics of the running Python: about 465,000 characters of English with some code."""
    from pydoc_data.topics import topics

    return "".join(text if text.endswith("\n") else text + "\n" for text in topics.values())


def read_text(path: Path, level: str) -> str | bytes:
    """The contents of one file, with a newline at the end: bytes at byte level, otherwise UTF-8 text.

    Raises UserError for a file that is empty, unreadable, or (but at byte level) not UTF-8 text.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"a text file must be readable, got {path}: {error.strerror}") from error
    if not raw.strip():
        raise UserError(f"a text file must hold some text, got an empty one: {path}")
    if level == "byte":
        return raw if raw.endswith(b"\n") else raw + b"\n"
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UserError(
            f"a text file must be UTF-8, got byte {raw[error.start]:#04x} at {error.start}: {path}"
        ) from error
    if "\0" in text:
        raise UserError(f"a text file must not hold NUL characters, got a binary file: {path}")
    return text if text.endswith("\n") else text + "\n"


def _split_by_position(source, level, text):
    newline = b"\n" if isinstance(text, bytes) else "\n"

    def cut_near(position):
        return text.find(newline, int(position)) + 1

    first = cut_near(TRAIN_SHARE * len(text))
    second = cut_near((TRAIN_SHARE + VALID_SHARE) * len(text))
    parts = (text[:first], text[first:second], text[second:])
    if not all(parts):
        raise UserError(
            f"a file that is split 90/5/5 at line ends needs more lines, got {text.count(newline)} in {source}"
        )
    return Texts(source, level, *parts)
