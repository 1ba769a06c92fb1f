"""Standard input as a text: read once, and at most so much that memory does not run out."""

import os
import sys
from pathlib import Path

from lm_jax.errors import UserError
from lm_jax.input_files import read_bounded


STANDARD_INPUT = "-"  # what data and files are called that come from there
OF_PROCESS = ("/dev/stdin", "/dev/fd/0")  # paths by which a shell names it
MOST_MIB = 1024


def is_stream(data: str | None) -> bool:
    """Says whether data can be read only once: standard input, or what a shell has for `<(a command)`."""
    return data is not None and (data == STANDARD_INPUT or (_of_shell(Path(data)) and not Path(data).is_file()))


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
        return read_bounded(binary, MOST_MIB << 20) if binary is not None else stream.read().encode()
    except OSError as error:
        raise UserError(f"standard input must be readable, got {error.strerror or error}; give a file") from error
