"""Standard input as a text: read once, and at most so much that memory does not run out."""

import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from lm_jax.errors import UserError


STANDARD_INPUT = "-"  # what data and files are called that come from there
MOST_MIB = 1024
BLOCK = 1 << 20


def is_stream(data: str | None) -> bool:
    """Says whether data can be read only once: standard input, or what a shell has for `<(a command)`."""
    return data is not None and (data == STANDARD_INPUT or (_of_shell(Path(data)) and not Path(data).is_file()))


def read_special(path: Path) -> bytes:
    """Reads what is no regular file: a stream of the shell's; raises UserError for any other pipe, and for devices."""
    if not _of_shell(path):
        kind = "a named pipe" if stat.S_ISFIFO(path.stat().st_mode) else "a device"
        raise UserError(f"a text must be in a regular file, got {kind}; to read from it: lm-jax ... - < {path}")
    if str(path) in ("/dev/stdin", "/dev/fd/0"):
        return read_standard_input()
    with path.open("rb") as file:
        return read_bounded(file, str(path))


def _of_shell(path):
    """Whether a path is of a file that this process has open already."""
    return os.path.dirname(path) in ("/dev/fd", "/proc/self/fd") or str(path) == "/dev/stdin"


def read_standard_input() -> bytes:
    """Reads standard input to its end.

    Raises UserError for a terminal, where a person would wait in vain, for what was read before, and for more than
    1,024 MiB.
    """
    stream = sys.stdin
    if stream is None or stream.closed:
        raise UserError("standard input must be open, got a closed one; give a file")
    if stream.isatty():
        raise UserError(
            "standard input must be a pipe or a file, got a terminal; for example: cat my.txt | lm-jax ... -, "
            "or give the name of the file"
        )
    binary = getattr(stream, "buffer", None)
    try:
        return read_bounded(binary, "standard input") if binary is not None else stream.read().encode()
    except OSError as error:
        raise UserError(f"standard input must be readable, got {error.strerror or error}; give a file") from error


def read_bounded(file: BinaryIO, source: str, most_mib: int | None = None) -> bytes:
    """Reads a stream to its end.

    Args:
        file: the stream.
        source: what it is called.
        most_mib: the most that it may hold, in MiB. Default: 1,024.

    Raises:
        UserError: for a stream that holds more, such as one without an end.
    """
    most_mib = MOST_MIB if most_mib is None else most_mib
    blocks, size = [], 0
    while block := file.read(BLOCK):
        blocks.append(block)
        size += len(block)
        if size > most_mib << 20:
            raise UserError(f"{source} must hold at most {most_mib:,} MiB, got more; save the text as a file")
    return b"".join(blocks)
