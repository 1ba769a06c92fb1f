"""Copying a run folder, so that the copy is at every moment a run that can be resumed: all its steps are whole."""

import os
import shutil
from pathlib import Path

from lm_jax.errors import UserError
from lm_jax.files import PART, replacing
from lm_jax.runs.folder import LOCK
from lm_jax.training.checksums import record_path, records_of
from lm_jax.training.saved_steps import COPYING, REMOVING, find_steps
from lm_jax.training.step_names import name_step, remove_step, tidy


WAITING = ".mirroring"  # in the run folder: steps to be copied, which the run may delete meanwhile


def copy_back(run: Path, home: Path) -> None:
    """Copies a run folder to a new one: its files, and the steps that are whole."""
    part = home.with_name(home.name + COPYING)
    shutil.rmtree(part, ignore_errors=True)
    try:
        (part / "states").mkdir(parents=True)
        _copy_files(run, part, {})
        for saved in find_steps(run / "states"):  # one that is missing is to be missed there too
            _copy_step(run / "states", part / "states", saved.step)
        part.rename(home)
    except OSError as error:
        raise UserError(f"a run is copied to a folder that can be written to, got {home}: {error}") from error


def copy_changes(source: Path, waiting: Path, target: Path, seen: dict[str, tuple[int, int]]) -> None:
    """One round: brings the mirror of a run up to date, so that it can be resumed after every single operation.

    The logs are read after the steps were listed, so they reach at least as far as these. Steps are copied oldest
    first: the best one is there before the newer ones that remember it.

    Args:
        source: The folder of the run.
        waiting: The folder of the steps that wait to be copied.
        target: The mirror.
        seen: The files as last copied; it is brought up to date.
    """
    ready, current = whole_steps(waiting), whole_steps(source / "states")
    (target / "states").mkdir(parents=True, exist_ok=True)
    drop_leftovers(target)
    _copy_files(source, target, seen)
    for step in ready:
        if step in current and not has_step(target / "states", waiting, step):
            _copy_step(waiting, target / "states", step)
        shutil.rmtree(waiting / str(step))
    present = whole_steps(target / "states")
    for step in present:  # of a version that had no checksums, which have been recorded since
        if step in current and not record_path(target / "states", step).exists():
            copy_record(source / "states", target / "states", step)
    newest = max(set(present) & set(current), default=0)
    for step in present:
        # a step newer than all copied ones stays until there is a newer copy, unless the run has gone back behind it
        if newest and step not in current and not newest < step <= max(current):
            remove_step(target / "states", step)


def drop_leftovers(run: Path) -> None:
    """Removes what copying or removing left behind when it was killed."""
    tidy(run / "states")
    for path in run.iterdir():
        if path.name.endswith((COPYING, REMOVING, PART)) or path.name.startswith(WAITING):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def whole_steps(states):
    """The steps that there are whole checkpoints of, oldest first."""
    return sorted(int(path.name) for path in states.iterdir() if path.name.isdigit()) if states.is_dir() else []


def _copy_files(source, target, seen):
    """The files at the top of a run folder that have changed; the settings last, for with them a folder is a run."""
    for path in sorted(source.iterdir(), key=lambda path: (path.name == "config.json", path.name)):
        if not path.is_file() or path.name.endswith((COPYING, PART)) or path.name == LOCK:
            continue
        stat = path.stat()
        if seen.get(path.name) == (stat.st_mtime_ns, stat.st_size):
            continue
        _copy_file(path, target / path.name)
        seen[path.name] = (stat.st_mtime_ns, stat.st_size)


def _copy_file(source, target):
    with source.open("rb") as read, replacing(target) as file:
        shutil.copyfileobj(read, file)


def _copy_step(source, target, step):
    """Copies a step from one folder of steps to another: its record is there before it has its name."""
    part = target / f"{step}{COPYING}"
    if (source / str(step)).is_dir():
        shutil.copytree(source / str(step), part, copy_function=shutil.copyfile)
    copy_record(source, target, step)
    if part.exists():
        name_step(target, part, step)


def recorded(states: Path, step: int) -> bytes:
    """Returns the record of a step as it lies in a folder of steps, nothing where there is none."""
    try:
        return record_path(states, step).read_bytes()
    except FileNotFoundError:
        return b""


def has_step(states: Path, source: Path, step: int) -> bool:
    """Says whether a folder of steps has a step, with the same record as another: a step is saved twice if its first
    validation was broken off.

    Args:
        states: The folder of steps that may have it.
        source: The folder of steps that has it.
        step: The number of the step.
    """
    return (states / str(step)).is_dir() and recorded(states, step) == recorded(source, step)


def copy_record(source: Path, target: Path, step: int) -> None:
    """Copies the record of a step from one folder of steps to another, if there is one.

    Args:
        source: The folder of steps that has it.
        target: The folder of steps that it is copied to.
        step: The number of the step.
    """
    record = record_path(source, step)
    if record.exists():
        records_of(target).mkdir(exist_ok=True)
        _copy_file(record, record_path(target, step))


def link(source, target):
    """A second name for a file, which outlives the first; a copy where the file system knows no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
