"""Names of the steps in a folder: a step gets its name once it is recorded, loses it first, and after a crash all is
put right."""

import shutil
from pathlib import Path

from lm_jax.files import PART
from lm_jax.training.checksums import find_damage, read_record, record_path, records_of
from lm_jax.training.saved_steps import COPYING, REMOVING, SAVING


TEMPORARY = ".orbax-checkpoint-tmp"  # of a save that was killed
UNREADABLE = ".unreadable"  # of what was damaged and is set aside


def aside(path: Path) -> Path:
    """Returns a free name beside a damaged folder, under which it may stay: NAME.unreadable, NAME.unreadable-2, ...

    Args:
        path: The folder.
    """
    ends = ("", *(f"-{number}" for number in range(2, 1000)))
    names = (path.with_name(f"{path.name}{UNREADABLE}{end}") for end in ends)
    return next(name for name in names if not name.exists())


def name_step(states: Path, whole: Path, step: int) -> None:
    """Gives a step that is recorded its name, in the place of one that was saved under it before.

    Args:
        states: The folder of steps.
        whole: What the record is of: a folder in it with another name.
        step: The number of the step.
    """
    path, removing = states / str(step), states / f"{step}{REMOVING}"
    if path.exists():
        path.rename(removing)
    whole.rename(path)
    shutil.rmtree(removing, ignore_errors=True)


def remove_step(states: Path, step: int) -> None:
    """Removes a step; in one operation it is a checkpoint no more, for half of one would pass for a damaged one."""
    removing = states / f"{step}{REMOVING}"
    (states / str(step)).rename(removing)
    record_path(states, step).unlink(missing_ok=True)
    shutil.rmtree(removing)


def tidy(states: Path) -> None:
    """Finishes what a crash interrupted: a step that was recorded gets its name, what was half done is removed."""
    for path in sorted([*states.glob(f"*{SAVING}"), *states.glob(f"*{COPYING}")]):
        name = path.stem
        if name.isdecimal() and _is_recorded(states, path, int(name)):
            name_step(states, path, int(name))
    for path in sorted(states.iterdir()) if states.is_dir() else []:
        name = path.name.partition(".")[0]
        if path.name.endswith((SAVING, REMOVING, COPYING, PART)) or TEMPORARY in path.name:
            if name.isdecimal() and not (states / name).exists():
                record_path(states, int(name)).unlink(missing_ok=True)
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for path in records_of(states).glob(f"*{PART}"):
        path.unlink()


def _is_recorded(states, path, step):
    """Whether the record of a step is of what lies under another name, and not of the step that has its name."""
    try:
        record = read_record(record_path(states, step))
    except FileNotFoundError:
        return False
    named = states / str(step)
    return (
        record is not None
        and not (named.exists() and find_damage(named, record) is None)
        and (find_damage(path, record) is None)
    )
