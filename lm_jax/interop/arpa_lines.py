"""The lines of an ARPA file: its header, its n-grams a block at a time, and the line number of what is wrong."""

import contextlib
import gzip
import itertools
import math
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from lm_jax.errors import UserError
from lm_jax.input_files import bounded_lines, open_regular, unpacked_limit
from lm_jax.interop.arpa import COMMENT
from lm_jax.strict_json import from_json


BLOCK = 1 << 12  # lines that are Python objects at the same time; few enough to stay in the cache
COUNT = re.compile(rb"ngram\s+(\d{1,3})\s*=\s*(\d{1,15})")


class Lines:
    """The lines of a file, the number of the last one taken, and the one that `advance` has found."""

    def __init__(self, path: Path, file: Iterable[bytes]):
        self.path, self.file, self.number = path, file, 0
        self.current: bytes | None = None

    def take(self, n: int) -> list[bytes]:
        """Reads the next n lines, or as many as are left."""
        lines = list(itertools.islice(self.file, n))
        self.number += len(lines)
        return lines

    def advance(self) -> None:
        """Makes the next line that is not blank the current one; None at the end of the file."""
        self.current = None
        while not self.current and (lines := self.take(1)):
            self.current = lines[0].strip() or None

    def fail(self, rule: str, got: bytes | str | None, line: int | None = None) -> NoReturn:
        """Raises UserError for a line of the file.

        Args:
            rule: What must be there.
            got: What is there instead; None at the end of the file.
            line: The number of the line. Default: the current one.

        Raises:
            UserError: Always.
        """
        if isinstance(got, bytes):
            got = repr(got.decode(errors="replace")[:60])
        where = f"{self.path}, line {self.number if line is None else line}"
        raise UserError(f"{where}: {rule}, got {'the end of the file' if got is None else got}")


@contextlib.contextmanager
def open_lines(path: Path) -> Iterator[Lines]:
    """The lines of a file, compressed or not; raises UserError where it cannot be read to its end."""
    lines = None
    try:
        with open_regular(path) as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            file = gzip.GzipFile(fileobj=raw) if compressed else raw
            lines = Lines(path, bounded_lines(file, unpacked_limit(raw)))
            yield lines
    except (OSError, EOFError, zlib.error) as error:
        where = f"{path}, line {lines.number + 1}" if lines else str(path)
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{where}: an ARPA file must be readable to its end, got: {reason}") from error


def read_header(lines: Lines) -> tuple[dict[str, Any], list[int]]:
    """Reads the metadata of our comment, if there is one, and the number of n-grams of each order."""
    metadata: Any = {}
    lines.advance()
    while lines.current is not None and lines.current.startswith(b"#"):
        if lines.current.startswith(COMMENT.encode()):
            metadata = _metadata(lines)
        lines.advance()
    if lines.current != b"\\data\\":
        lines.fail("an ARPA file must begin with \\data\\ (and before it lines that begin with #)", lines.current)
    counts: list[int] = []
    lines.advance()
    while lines.current is not None and not lines.current.startswith(b"\\"):
        match = COUNT.fullmatch(lines.current)
        if not match or int(match[1]) != len(counts) + 1:
            lines.fail(f"the header must continue with ngram {len(counts) + 1}=..", lines.current)
        counts.append(int(match[2]))
        lines.advance()
    if not counts:
        lines.fail("the header must have the number of the 1-grams, ngram 1=..", lines.current)
    return metadata, counts


def _metadata(lines):
    text = lines.current[len(COMMENT) :]
    try:
        metadata = from_json(text)
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        lines.fail(f"after {COMMENT.strip()} there must be a JSON object", text)
    return metadata


class Block(NamedTuple):
    """Lines of one section: the number of the first, k columns of words, and two of natural logarithms [N]."""

    line: int
    words: list[tuple[bytes, ...]]
    log_prob: np.ndarray
    log_backoff: np.ndarray


def read_section(lines: Lines, k: int, counts: list[int]) -> Iterator[Block]:
    """Yields the n-grams of one order, a block at a time.

    Args:
        lines: The lines of the file, at the head of the section.
        k: The order.
        counts: The number of n-grams of each order, by the header.

    Raises:
        UserError: For a section that is not as the header promises.
    """
    if lines.current != f"\\{k}-grams:".encode():
        lines.fail(f"a line \\{k}-grams: must come next", lines.current)
    done, count = 0, counts[k - 1]
    while done < count:
        first = lines.number + 1
        rows = [line.split() for line in lines.take(min(BLOCK, count - done))]
        whole = next((i for i, row in enumerate(rows) if not row or row[0].startswith(b"\\")), len(rows))
        if whole == 0 or whole < len(rows):
            lines.fail(f"the header promises {count} {k}-grams", str(done + whole), first + whole)
        columns = _columns(lines, first, rows, k)
        yield Block(first, columns[1 : k + 1], *_numbers(lines, first, columns, k, longest=k == len(counts)))
        done += len(rows)
    lines.advance()
    if lines.current is not None and not lines.current.startswith(b"\\"):
        lines.fail(f"the header promises {count} {k}-grams", "more")


def _columns(lines, first, rows, k):
    """Splits rows of k + 1 or k + 2 fields into columns; a back-off weight that is left out is 1."""
    widths = set(map(len, rows))
    if not widths <= {k + 1, k + 2}:
        at = next(i for i, row in enumerate(rows) if len(row) not in (k + 1, k + 2))
        rule = f"the line of a {k}-gram must have log10 P, {k} words, and log10 of the back-off weight or nothing"
        lines.fail(rule, b" ".join(rows[at]), first + at)
    if len(widths) == 2:
        rows = [row if len(row) == k + 2 else [*row, b"0"] for row in rows]
    return list(zip(*rows, strict=True))


def _numbers(lines, first, columns, k, longest):
    """Natural logarithms of the probabilities and of the back-off weights."""
    log_prob = _floats(lines, first, columns[0])
    log_backoff = _floats(lines, first, columns[k + 1]) if len(columns) > k + 1 else np.zeros(len(log_prob))
    if (log_prob > 0).any():
        at = int(np.argmax(log_prob > 0))
        lines.fail("a probability must be at most 1, its log10 at most 0", columns[0][at], first + at)
    if longest and log_backoff.any():
        at = int(np.argmax(log_backoff != 0))
        lines.fail("the longest n-grams must have no back-off weight", columns[k + 1][at], first + at)
    return log_prob * math.log(10), log_backoff * math.log(10)


def _floats(lines, first, column):
    try:
        values = np.fromiter(map(float, column), np.float64, len(column))
    except ValueError:
        values = np.array([_float(text) for text in column])
    with np.errstate(over="ignore"):
        finite = np.isfinite((values * math.log(10)).astype(np.float32))  # as the tables hold it
    if not finite.all():
        at = int(np.argmin(finite))
        lines.fail("a logarithm must be a finite number", column[at], first + at)
    return values


def _float(text):
    try:
        return float(text)
    except ValueError:
        return math.nan
