"""Checksums of a checkpoint: what every file of a step's folder must be, written outside that folder.

The files of arrays are compressed without a checksum of their own, so that a flipped bit gives other numbers in
silence. Here each file has its size and its BLAKE2b, the list has one over itself, and the list is written before the
step takes its name: a step that is there without a list, or a list without a step, has been damaged.
"""

import errno
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.strict_json import read_json, to_json, write_json


RECORDS = ".checksums"  # after the name of the folder of steps: the folder beside it that has their records
BLOCK = 1 << 20
NO_DAMAGE = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # of a machine that refuses to read


class StepRecord(NamedTuple):
    """What is recorded of a step: the number that its validation ranks it by (None without one), and size and checksum
    of every file by its path in the folder."""

    step: int
    valid_loss: float | None
    files: dict[str, list[Any]]


def records_of(states: Path) -> Path:
    """Returns the folder of the records of the steps in a folder."""
    return states.with_name(f"{states.name}{RECORDS}")


def record_path(states: Path, step: int) -> Path:
    """Returns where the record of a step lies."""
    return records_of(states) / f"{step}.json"


def record_step(folder: Path, step: int, valid_loss: float | None) -> StepRecord:
    """Makes the record of the step that a folder holds.

    Args:
        folder: The folder of the step.
        step: Its number.
        valid_loss: The number that its validation ranks it by; None without one.
    """
    files = {path: [size, _checksum(folder / path)] for path, size in sorted(_sizes(folder).items())}
    return StepRecord(step, valid_loss, files)


def write_record(states: Path, record: StepRecord) -> None:
    """Writes a record; the disk has it when this returns."""
    path = record_path(states, record.step)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**record._asdict(), "checksum": _own_checksum(record)}, indent=None)


def read_record(path: Path) -> StepRecord | None:
    """Reads a record; None for one that was damaged. Raises FileNotFoundError where there is none."""
    try:
        values = read_json(path)
        record = StepRecord(*(values[name] for name in StepRecord._fields))
        whole = str(record.step) == path.stem and values["checksum"] == _own_checksum(record)
        return record if whole else None
    except OSError as error:
        if error.errno in (*NO_DAMAGE, errno.ENOENT):
            raise
        return None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def find_damage(folder: Path, record: StepRecord, unread: str | None = None) -> str | None:
    """Returns what differs between a step's folder and its record in a few words, or None.

    Args:
        folder: The folder of the step.
        record: Sizes and checksums of its files.
        unread: A part whose files are compared by their sizes only, because nothing is read of them.
    """
    try:
        sizes = _sizes(folder)
        for path in sorted(record.files.keys() - sizes.keys()):
            return f"{path} is missing"
        for path in sorted(sizes.keys() - record.files.keys()):
            return f"{path} does not belong to it"
        for path, (size, checksum) in record.files.items():
            if sizes[path] != size:
                return f"{path} has {sizes[path]} bytes instead of {size}"
            if Path(path).parts[0] != unread and _checksum(folder / path) != checksum:
                return f"{path} has another checksum"
    except OSError as error:
        if error.errno in NO_DAMAGE:
            raise
        return f"it cannot be read: {error.strerror}"
    return None


def _sizes(folder):
    """The size of every file by its path; a link counts as none, whatever it leads to."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[path.relative_to(folder).as_posix()] = -1
        elif not path.is_dir():
            found[path.relative_to(folder).as_posix()] = path.stat().st_size
    return found


def _checksum(path):
    found = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def _own_checksum(record):
    return hashlib.blake2b(to_json(record).encode(), digest_size=16).hexdigest()
