"""A file as a text: its bytes, their encoding, its line ends."""

import codecs
from pathlib import Path

from lm_jax.data.standard_input import OF_PROCESS, read_standard_input
from lm_jax.errors import UserError
from lm_jax.input_files import read_input


def read_text(path: Path, level: str) -> str | bytes:
    """Reads one file as a text of this level; see `as_text`. Raises UserError for an unreadable file too."""
    return as_text(read_bytes(path), level, str(path))


def as_text(raw: str | bytes, level: str, source: str) -> str | bytes:
    """Returns bytes, or a string, as a text of this level, with a newline at the end.

    At byte level the bytes are left as they are. At the others they are UTF-8, and a line ends with a newline: one
    after a return (Windows) becomes a newline alone, and so does a return in a text without any newline (old Macs).

    Args:
        raw: The contents of a file.
        level: "byte" returns bytes; any other level a string.
        source: The name of the file, for messages.

    Raises:
        UserError: For a text that is empty, not UTF-8, or, but at byte level, binary.
    """
    raw = _encode(raw, source) if isinstance(raw, str) else raw
    if not raw.removeprefix(codecs.BOM_UTF8).strip():
        raise UserError(f"a text file must hold some text, got an empty one: {source}")
    if level == "byte":
        return raw if raw.endswith(b"\n") else raw + b"\n"
    text = decode(raw, source).replace("\r\n", "\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    if "\0" in text:
        raise UserError(f"a text file must not hold NUL characters, got a binary file: {source}")
    return text if text.endswith("\n") else text + "\n"


def read_bytes(path: Path) -> bytes:
    """Reads a file; raises UserError where that is not possible."""
    try:
        if str(path) in OF_PROCESS:
            return read_standard_input()
        return read_input(path.expanduser())
    except OSError as error:
        raise UserError(f"a text file must be readable, got {path}: {error.strerror}") from error
    except RuntimeError as error:  # of ~ without a home
        raise UserError(f"a text file must be readable, got {path}: {error}") from error


def decode(raw: bytes, source: object) -> str:
    """Returns the text of UTF-8 bytes; raises UserError for others."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"a text file must be UTF-8, got byte {raw[error.start]:#04x} at {error.start}: {source}"
        ) from error


def _encode(text, source):
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # a string of JSON can have half a pair of escapes
        line = text.count("\n", 0, error.start) + 1
        raise UserError(
            f"a text must be Unicode, got the lone surrogate {text[error.start]!r} in its line {line}: {source}"
        ) from error


def cause_of(error: BaseException) -> str:
    """Returns the first cause of an error, in a few words."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    if isinstance(error, OSError) and error.strerror:  # "No such file or directory" needs no name of Python's
        return error.strerror
    return f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"
