"""The checkpoints of a folder as a reader sees them, which writes nothing: also during a training."""

import math
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lm_jax.errors import UserError
from lm_jax.strict_json import read_json
from lm_jax.training.arrays import causes, describe_arrays, load_arrays
from lm_jax.training.checksums import StepRecord, find_damage, read_record, record_path, records_of
from lm_jax.types import Params


SAVING, REMOVING, COPYING = ".saving", ".removing", ".copying"  # of a step that comes or goes
ATTEMPTS, PAUSE = 6, 0.2  # a training removes a step once in a save: the second attempt nearly always finds it in order


class SavedStep(NamedTuple):
    """A saved step, which may be missing or damaged.

    record: None of a step of an older version, and of a damaged one. damage: what is seen at once, or None.
    """

    step: int
    path: Path
    valid_loss: float | None
    record: StepRecord | None
    damage: str | None


class LoadedStep(NamedTuple):
    """The parameters of a step and the record that was saved with them."""

    step: int
    params: Params
    host: dict[str, Any]


class _Vanished(Exception):
    """A training removed the step while it was read."""


def find_steps(states: Path) -> list[SavedStep]:
    """Returns the steps that exist or are recorded, oldest first.

    A folder of steps without any record is of a version that had none: nothing can be said of its steps.
    """
    folders, records = _numbers(states), _numbers(records_of(states), ".json")
    found = (_look_at(states, step, bool(records)) for step in sorted(folders | records))
    return [step for step in found if step is not None]


def rank_steps(steps: Iterable[SavedStep]) -> list[SavedStep]:
    """Returns the steps with the best first: by the number of the validation, of equal ones the first; then those
    without a finite number, the newest first."""

    def order(saved):
        loss = saved.valid_loss
        ranked = loss is not None and math.isfinite(loss)
        return (loss, saved.step) if ranked else (math.inf, -saved.step)

    return sorted(steps, key=order)


def damage_of(saved: SavedStep, unread: str | None = None) -> str | None:
    """Returns what is wrong with a step, by its checksums; None where nothing is, or nothing can be said."""
    if saved.damage is not None or saved.record is None:
        return saved.damage
    return find_damage(saved.path, saved.record, unread)


def load_step(states: Path, template: Params, step: int | None = None) -> LoadedStep:
    """Reads the parameters of a step, on one device, however many they were saved from.

    A damaged step is a warning, and the next best one is read; the one that is asked for must be whole.

    Args:
        states: The folder of steps.
        template: Parameters with the structure and shapes of those that are read.
        step: The number of the step. Default: the best.

    Raises:
        UserError: Where there is none to be read, and for one that does not fit the template.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _load_step(Path(states).resolve(), template, step)
        except _Vanished as vanished:
            if attempt == ATTEMPTS - 1:
                raise UserError(f"a checkpoint must stay while it is read, got {vanished} of {states}") from None
            time.sleep(PAUSE)
    raise AssertionError("the last attempt returns or raises")


def _load_step(states, template, step):
    steps = find_steps(states)
    unranked = [saved for saved in steps if saved.damage is not None and saved.record is None]  # perhaps the best
    asked = [*unranked, *rank_steps(steps)] if step is None else [saved for saved in steps if saved.step == step]
    damaged: dict[int, str] = {}
    for saved in asked:
        damage = damage_of(saved, unread="train")
        if damage is None:
            loaded = _load(saved, template)
            for other, reason in damaged.items():
                warnings.warn(
                    f"checkpoint {other} is damaged ({reason}); checkpoint {saved.step} is read instead", stacklevel=4
                )
            return loaded
        _check_there(saved)
        if damage_of(saved, unread="train") is None:  # a training gave the name to another save of it meanwhile
            raise _Vanished(f"step {saved.step}")
        damaged[saved.step] = damage
    if damaged:
        reasons = "; ".join(f"{other}: {reason}" for other, reason in damaged.items())
        raise UserError(f"a checkpoint must be whole to be read, got {states} with {reasons}")
    raise UserError(
        f"a run can be loaded once it has a checkpoint, got none{'' if step is None else f' of step {step}'}"
    )


def _load(saved, template):
    one_device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=one_device), template)
    try:
        # orbax finds a misfit only while it loads, and its threads then print tracebacks of their own
        shapes, host = describe_arrays(saved.path, "params")
        have, want = (sorted(tuple(leaf.shape) for leaf in jax.tree.leaves(t)) for t in (shapes, template))
        if have != want:
            _check_there(saved)  # of a step that is being removed, orbax describes what is left
            raise UserError(
                f"a checkpoint must fit its config.json, got arrays of {have} at step {saved.step}, not {want}"
            )
        loaded = LoadedStep(saved.step, _bound_to_none(load_arrays(saved.path, {"params": abstract})["params"]), host)
    except UserError:
        raise
    except Exception as error:  # of many types; what the user can act on is its cause
        _check_there(saved)
        raise UserError(f"a checkpoint must fit its config.json, got step {saved.step}: {root(error)}") from error
    warn_if_unrecorded(saved, host)
    return loaded


def warn_if_unrecorded(saved: SavedStep, host: dict[str, Any]) -> None:
    """Warns of a step whose record is gone with those of all others, so that nothing is known to compare it with.

    Args:
        saved: The step.
        host: What was kept beside its arrays. Versions that had no records kept no digest of the log there either.
    """
    if saved.record is None and "log" in host:
        warnings.warn(
            f"{records_of(saved.path.parent)} is missing or empty: whether checkpoint {saved.step} is damaged, or a "
            "newer one is missing, cannot be told",
            stacklevel=5,
        )


def _bound_to_none(params):
    """The parameters as arrays that may go to any device, as new ones are: those that orbax reads are bound to one, and
    a program that was compiled for the others is compiled again for them."""
    return jax.device_put(jax.device_get(params))


def _check_there(saved):
    """Raises _Vanished if a step was removed in order, and so is not damaged."""
    again = _look_at(saved.path.parent, saved.step, saved.record is not None or saved.damage is not None)
    if again is None or (saved.record is not None and again.record != saved.record):
        raise _Vanished(f"step {saved.step}")


def _look_at(states, step, recorded):
    """A step by its folder and its record; None for one that comes or goes."""
    path, record = states / str(step), None
    if not recorded:
        return SavedStep(step, path, _former_valid_loss(path), None, None) if path.is_dir() else None
    try:
        record = read_record(record_path(states, step))
    except FileNotFoundError:
        return SavedStep(step, path, None, None, "its checksums are missing") if path.is_dir() else None
    if record is None:
        return SavedStep(step, path, None, None, "its checksums are damaged")
    if path.is_dir():
        return SavedStep(step, path, record.valid_loss, record, None)
    # A training writes the record, then gives the folder its name; and takes the name away, then deletes the record.
    if any(path.with_name(path.name + end).exists() for end in (SAVING, REMOVING, COPYING)):
        return None
    if not record_path(states, step).exists():
        return None
    damage = None if path.is_dir() else "its folder is missing"
    return SavedStep(step, path, record.valid_loss, record, damage)


def _numbers(folder, end=""):
    """The numbers that there are entries of."""
    names = (
        [path.name.removesuffix(end) for path in folder.iterdir() if path.name.endswith(end)] if folder.is_dir() else []
    )
    return {int(name) for name in names if name.isdecimal() and name == str(int(name))}


def _former_valid_loss(path):
    """Until there were records a step had its number in a file of its own; a step that another had equalled, none."""
    try:
        metrics = read_json(path / "metrics" / "metrics")
        return float(metrics["valid_loss"]) if metrics.get("improves", 1) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def root(error: BaseException) -> str:
    """Returns the first cause of an error as one line."""
    first = next(causes(error))
    return f"{type(first).__name__}: {str(first).splitlines()[0][:90] if str(first) else ''}"
