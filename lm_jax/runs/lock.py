"""One process at a time writes into a run folder: a lock of the operating system, which a crash releases."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from lm_jax.errors import UserError
from lm_jax.report.commands import shell_path
from lm_jax.runs.folder import LOCK, check_new


NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)  # of file systems that know none


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a run folder while the block runs.

    The lock is on an open file, so that it ends with the process, however that ends; the file tells who holds it.
    Raises UserError, at once, where another process holds it.
    """
    number = _lock(folder)
    if number is None:
        yield
        return
    try:
        os.truncate(number, 0)
        os.write(number, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink()
        os.close(number)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Holds the lock of a new run folder; raises UserError, too, if another process has just made a run there."""
    with locked(folder):
        check_new(folder)
        yield


def _lock(folder):
    """The open file that is locked; None where there are no locks."""
    try:
        import fcntl
    except ImportError:  # of POSIX only
        return None
    path = folder / LOCK
    while True:
        number = _open(path)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(path) and os.path.samestat(os.fstat(number), os.stat(path)):
                return number  # and not a file that its holder has deleted meanwhile
        except BlockingIOError:
            holder = os.read(number, 200).decode(errors="replace") or "another process"
            os.close(number)
            raise UserError(
                f"a run is written by one process at a time, got {folder}, which {holder} is writing"
            ) from None
        except OSError as error:
            os.close(number)
            if error.errno in NO_LOCKS:
                return None
            raise
        os.close(number)


def _open(path):
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise UserError(
            f"what is trained must lie in a folder that can be written, got {path.parent}: {error.strerror}; "
            f"to continue in a copy: resume {shell_path(path.parent)} with run NEW",
            ("resume", "run"),
        ) from error
