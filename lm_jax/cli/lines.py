"""Lines of a file or of standard input, in batches of what is there: whoever writes line by line is answered so."""

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from lm_jax.errors import UserError
from lm_jax.input_files import LINE_LIMIT


Answer = TypeVar("Answer")
ROWS = 64  # lines of a batch
BLOCK = 1 << 16  # bytes of standard input that are read at most at once


class Line(NamedTuple):
    """A line without white space at its ends, and its number."""

    number: int
    text: str


def read_batches(file: str | None) -> Iterator[list[Line]]:
    """Yields the lines of a file, or of standard input (None or "-"), in batches.

    Raises UserError for a file that cannot be read, before the first batch, and for what is not UTF-8.
    """
    from lm_jax.data.standard_input import STANDARD_INPUT
    from lm_jax.data.text_files import read_text

    if file in (None, STANDARD_INPUT):
        return _in_batches(_arriving(getattr(sys.stdin, "buffer", None)))
    text = str(read_text(Path(str(file)), "char"))
    return _in_batches(iter([text.split("\n")[:-1]]))


@contextlib.contextmanager
def refused_by_line(line: Line) -> Iterator[None]:
    """Adds the number of the line to what is said against it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{error} in line {line.number}", error.settings) from error


def answered(
    batch: list[Line], encode: Callable[[str], object], answer: Callable[[list[str]], Iterable[Answer]]
) -> Iterator[tuple[Line, Answer | None]]:
    """Yields every line with its answer; an empty line has none, and stays in its place beside the others.

    Args:
        batch: The lines.
        encode: Raises UserError for a text that cannot be read: nothing of a batch is answered before a mistake.
        answer: Answers texts, each by one.
    """
    lines = [line for line in batch if line.text]
    for line in lines:
        with refused_by_line(line):
            encode(line.text)
    answers = iter(answer([line.text for line in lines]))
    for line in batch:
        yield line, next(answers) if line.text else None


def _in_batches(arriving: Iterator[list[str]]) -> Iterator[list[Line]]:
    numbers = itertools.count(1)
    for lines in arriving:
        for start in range(0, len(lines), ROWS):
            yield [Line(next(numbers), line.strip()) for line in lines[start : start + ROWS]]


def _arriving(binary) -> Iterator[list[str]]:
    """Lists of the lines that standard input has by now; of a text without bytes (a test's) all of them."""
    if binary is None:
        yield sys.stdin.read().splitlines()
        return
    begun, count = b"", 0
    while block := binary.read1(BLOCK):
        *lines, begun = (begun + block).split(b"\n")
        if len(begun) > LINE_LIMIT:
            raise UserError(f"a line has at most {LINE_LIMIT:,} bytes, got more in line {count + len(lines) + 1}")
        yield [_decoded(line, count + number) for number, line in enumerate(lines, 1)]
        count += len(lines)
    if begun:
        yield [_decoded(begun, count + 1)]


def _decoded(raw: bytes, number: int) -> str:
    from lm_jax.data.text_files import decode

    return decode(raw, f"line {number} of standard input")
