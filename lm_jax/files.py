"""Files that are whole or not there: written beside their place under another name, and renamed when they are complete.

A write that fails (a full disk, a quota, a limit on file sizes) or is killed leaves the file of before as it was.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO


PART = ".part"  # at the end of the name of a file that is being written
NOT_SYNCED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)  # what file systems say that know no such request


@contextlib.contextmanager
def replacing(path: str | Path, lasting: bool = False) -> Iterator[BinaryIO]:
    """Yields a binary file that takes the place of `path` when the block ends; after an error the old one stays.

    What is no regular file, such as a pipe or /dev/stdout, is written as it comes.

    Args:
        path: where the file will lie; its folder exists.
        lasting: waits until the disk has the file and its name, for what must outlive a power cut.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    part = path.with_name(f"{path.name[:200]}.{os.getpid()}{PART}")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            if lasting:
                _sync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if lasting:
        sync_folder(path.parent)


def write_text(path: str | Path, text: str, lasting: bool = False) -> None:
    """Writes a text as UTF-8, whatever the locale, as `replacing` does.

    Args:
        path: The file.
        text: Its contents.
        lasting: Returns only when the disk has it.
    """
    with replacing(path, lasting) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def write_bytes(path: str | Path, content: bytes) -> None:
    """Writes bytes, as `replacing` does."""
    with replacing(path) as file:
        file.write(content)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes a new folder of files, which is whole or not there.

    Args:
        folder: The folder, in one that exists.
        files: Contents by name.
    """
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name[:200]}.", dir=folder.parent))
    try:
        for name, content in files.items():
            (part / name).write_bytes(content)
        part.chmod(0o755)  # that of a temporary folder is for its owner alone
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def append_line(path: str | Path, line: str) -> None:
    """Adds a line to a text, as UTF-8; an addition that fails is taken back, so that no half line stays."""
    data = f"{line}\n".encode("utf-8", "backslashreplace")
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        before = os.fstat(number).st_size
        try:
            while data:
                data = data[os.write(number, data) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(number, before)
            raise
    finally:
        os.close(number)


def sync_folder(path: str | Path) -> None:
    """Waits until the disk has the names in a folder; does nothing where folders cannot be synced."""
    try:
        number = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        _sync(number)
    finally:
        os.close(number)


def _sync(number):
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in NOT_SYNCED:
            raise
