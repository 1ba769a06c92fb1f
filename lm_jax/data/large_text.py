"""A large file as the three texts of a corpus, read block by block: memory holds one block, and never the text.

The texts are those that the whole file is split into, character by character. A file that is not plain, with returns,
NUL characters, a byte order mark, or lines as long as a block, is left to those who read it whole, and so is one that
is not UTF-8, which they refuse.
"""

import codecs
import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lm_jax.data.blocks import BLOCK
from lm_jax.data.tables import TABLES
from lm_jax.input_files import open_regular


LARGE = 64 << 20  # bytes; a smaller file is read whole


class Span(NamedTuple):
    """A part of a file: where it begins and ends, in bytes; its characters, and its lines."""

    begin: int
    end: int
    characters: int
    lines: int


@dataclasses.dataclass(frozen=True)
class LargeText:
    """The texts of a large file of words: its path, its name for messages, and where each split lies in it."""

    path: Path
    source: str
    spans: dict[str, Span]
    level: str = "word"

    @property
    def characters(self) -> dict[str, int]:
        """The characters of each split."""
        return {split: span.characters for split, span in self.spans.items()}

    @property
    def bytes(self) -> dict[str, int]:
        """The bytes of each split, the newline that the file may lack at its end included."""
        return {split: span.end - span.begin for split, span in self.spans.items()}

    def first_line(self, split: str) -> int:
        """Returns the number that the first line of a split has in the file."""
        return 1 + sum(span.lines for span in self.spans.values() if span.begin < self.spans[split].begin)

    @functools.cached_property
    def sha256(self) -> str:
        """The fingerprint that the whole texts have."""
        digest = hashlib.sha256()
        for number, split in enumerate(self.spans):
            digest.update(b"\0" if number else b"")
            for block in self.blocks(split):
                digest.update(block.encode())
        return digest.hexdigest()

    def blocks(self, split: str) -> Iterator[str]:
        """Yields a split in blocks of whole lines."""
        span = self.spans[split]
        return (raw.decode() for raw in _blocks(self.path, span.begin, span.end))


def open_large(data: str | None, shares: dict[str, float]) -> LargeText | None:
    """Returns the texts of a large plain file; None for any other source, and for one that cannot be read.

    Args:
        data: A source, as for `load_corpus`.
        shares: The names of the splits in their order, with the share of the characters that lies before each one's
            end.
    """
    try:
        path = None if data is None else Path(data).expanduser()
        if path is None or path.suffix.lower() in TABLES or not path.is_file() or path.stat().st_size < LARGE:
            return None
        pieces = _plain_pieces(path)
        spans = None if pieces is None else _spans(path, pieces, shares)
    except (OSError, RuntimeError):  # the latter of ~ without a home; those who read it whole say so
        return None
    return None if spans is None else LargeText(path, str(data), spans)


def _plain_pieces(path):
    """Bytes, characters and lines of each block of a file; None of one that is not plain."""
    pieces = []
    for raw in _blocks(path, 0, path.stat().st_size):
        characters = _count_plain(raw)
        if characters is None or (not pieces and raw.startswith(codecs.BOM_UTF8)):
            return None
        pieces.append((len(raw), characters, raw.count(b"\n")))
    return pieces


def _count_plain(raw):
    """The characters of a block; None of one that is not plain."""
    if b"\r" in raw or b"\0" in raw or not raw.endswith(b"\n"):
        return None
    try:
        return len(raw.decode())
    except UnicodeDecodeError:
        return None


def _spans(path, pieces, shares):
    """The splits, which end at the first line end behind their shares; None if one is empty."""
    whole = tuple(map(sum, zip(*pieces, strict=True)))
    before, spans = (0, 0, 0), {}  # bytes, characters and lines before a split
    for split, share in shares.items():
        end = _end_of_line(path, pieces, int(share * whole[1])) if share < 1 else whole
        spans[split] = Span(before[0], end[0], end[1] - before[1], end[2] - before[2])
        if spans[split].characters == 0:
            return None
        before = end
    return spans


def _end_of_line(path, pieces, position):
    """Bytes, characters and lines up to the end of the line in which a character lies."""
    size, characters, lines = 0, 0, 0
    for piece in pieces:
        if position < characters + piece[1]:
            break
        size, characters, lines = size + piece[0], characters + piece[1], lines + piece[2]
    text = next(_blocks(path, size, size + piece[0])).decode()
    part = text[: text.index("\n", position - characters) + 1]
    return size + len(part.encode()), characters + len(part), lines + part.count("\n")


def _blocks(path, begin, end):
    """The bytes of a part of a file in blocks of whole lines; a newline is added where the file lacks its last one."""
    with open_regular(path) as file:
        file.seek(begin)
        while begin < end:
            raw = file.read(min(BLOCK, end - begin))
            if not raw:
                return
            if not raw.endswith(b"\n"):
                raw += file.readline(BLOCK) or b"\n"
            begin += len(raw)
            yield raw
