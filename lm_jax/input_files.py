"""Files of others, read with bounds: what is no file, or has no end, is refused before it hangs or fills the memory.

Every refusal is an OSError with its reason as `strerror`, as of a file that is not there.
"""

import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO


PIPE_LIMIT = 1 << 30  # bytes; a pipe does not say how long it is
RECORD_LIMIT = 1 << 28  # bytes of a file of settings, a vocabulary or results
LINE_LIMIT = 1 << 26  # bytes; the byte pairs of a vocabulary are one line of an ARPA file
UNPACKED, SMALL = 100, 1 << 28  # times of the compressed bytes, or so many, that a compressed file may have
BLOCK = 1 << 20


def open_regular(path: str | Path) -> BinaryIO:
    """Opens a regular file to read its bytes; raises OSError for anything else, at once."""
    _check_kind(path, os.stat(path), pipes=False)
    number = os.open(path, _FLAGS)
    try:
        _check_kind(path, os.fstat(number), pipes=False)  # and not what took its name meanwhile
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_input(path: str | Path, limit: int | None = None, pipes: bool = True) -> bytes:
    """Reads a regular file, or a pipe that somebody writes to, to its end.

    Args:
        path: of the file.
        limit: the most bytes that it may have; default: as many as the machine has memory, of a pipe 2^30.
        pipes: whether pipes and terminals will do.

    Raises:
        OSError: where that is not possible; also for a device, a folder, and a file with more bytes.
    """
    _check_kind(path, os.stat(path), pipes)
    number = os.open(path, _FLAGS)
    try:
        status = os.fstat(number)
        _check_kind(path, status, pipes)
        if stat.S_ISREG(status.st_mode):
            limit = memory_limit() if limit is None else limit
            if status.st_size > limit:
                raise _too_large(path, limit)
        begun = _begin_pipe(number, path) if stat.S_ISFIFO(status.st_mode) else b""
        if not stat.S_ISREG(status.st_mode):
            os.set_blocking(number, True)
        with os.fdopen(number, "rb", closefd=False) as file:
            return begun + read_bounded(file, PIPE_LIMIT if limit is None else limit, path)
    finally:
        os.close(number)


def read_bounded(file: BinaryIO, limit: int = PIPE_LIMIT, path: str | Path = "standard input") -> bytes:
    """Reads an open file to its end.

    Args:
        file: The file, open for bytes.
        limit: The most bytes that it may have.
        path: Its name, for the message.

    Raises:
        OSError: For a file with more bytes than the limit.
    """
    blocks, size = [], 0
    while block := file.read(BLOCK):
        blocks.append(block)
        size += len(block)
        if size > limit:
            blocks.clear()
            raise _too_large(path, limit)
    return b"".join(blocks)


def bounded_lines(file: IO[bytes] | io.BufferedIOBase, most: int, longest: int = LINE_LIMIT) -> Iterator[bytes]:
    """Yields the lines of an open file.

    Args:
        file: The file, open for bytes.
        most: The most bytes in all.
        longest: The most bytes of a line.

    Raises:
        OSError: For a longer line, and for more bytes in all.
    """
    while line := file.readline(longest + 1):
        most -= len(line)
        if len(line) > longest:
            raise OSError(errno.EFBIG, f"a line of more than {longest:,} bytes")
        if most < 0:
            raise OSError(errno.EFBIG, f"more than {UNPACKED} times as many bytes as its compressed form")
        yield line


def unpacked_limit(file: IO[bytes]) -> int:
    """Returns how many bytes an open compressed file may have: what people compress shrinks less by far."""
    return max(SMALL, UNPACKED * os.fstat(file.fileno()).st_size)


def memory_limit() -> int:
    """Returns the bytes of memory of the machine; 2^36 where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 36


_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def _check_kind(path, status, pipes):
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISREG(mode):
        return
    if pipes and (stat.S_ISFIFO(mode) or (stat.S_ISCHR(mode) and _is_terminal(path))):
        return
    kind = "a pipe" if stat.S_ISFIFO(mode) else "a device or a socket"
    raise OSError(errno.EINVAL, f"{kind}, which is no regular file", str(path))


def _is_terminal(path):
    try:
        number = os.open(path, _FLAGS | getattr(os, "O_NOCTTY", 0))
    except OSError:
        return False
    try:
        return os.isatty(number)
    finally:
        os.close(number)


def _begin_pipe(number, path):
    """Makes a pipe wait for what its writer says; raises OSError where it has none and so would never end."""
    try:
        begun = os.read(number, 1)
    except BlockingIOError:  # it has a writer, who has said nothing so far
        begun = b""
    else:
        if not begun:
            raise OSError(errno.EPIPE, "a pipe that nobody writes to", str(path))
    return begun


def _too_large(path, limit):
    return OSError(errno.EFBIG, f"more than {limit:,} bytes", str(path))
