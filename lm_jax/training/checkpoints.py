"""Checkpoints: the newest two, the best, and those to go back to: whole or absent, readable on any number of devices.

A checkpoint is a step's folder with two parts, `params` and `train` (everything else of the TrainState), and the host's
bookkeeping as JSON. Beside the folders lie the records of the steps, with a checksum of every file. A step is saved
under another name, recorded, and then named; it is removed in the opposite order: so a crash at any moment leaves
nothing that looks like a damaged step.
"""

import dataclasses
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax

from lm_jax.errors import UserError
from lm_jax.files import PART, sync_folder
from lm_jax.training.arrays import describe_arrays, load_arrays, save_arrays
from lm_jax.training.checksums import record_path, record_step, records_of, write_record
from lm_jax.training.divergence import find_nonfinite
from lm_jax.training.processes import on_first
from lm_jax.training.saved_steps import (
    SAVING,
    LoadedStep,
    damage_of,
    find_steps,
    load_step,
    rank_steps,
    root,
    warn_if_unrecorded,
)
from lm_jax.training.state import TrainState
from lm_jax.training.step_names import aside, name_step, remove_step, tidy
from lm_jax.types import Params


NEWEST = 2  # how many of them stay, whatever the best is
ADDED_FIELDS = ("incidents",)  # of the state, which versions before had not; without one it begins anew
ADDED_COUNTERS = ("first", "due")  # of the incidents: the same


class Checkpoints:
    """The checkpoints of one folder for the one training that writes there; use as a context manager.

    Readers ask `saved_steps`, which writes nothing. Making it removes what a crash left half saved or half removed.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder).resolve()
        on_first(lambda: tidy(self.folder))

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Ends the saving; every save is on the disk already."""

    @property
    def steps(self) -> list[int]:
        """The steps that there are checkpoints of, oldest first."""
        return [saved.step for saved in self._steps()]

    @property
    def best_step(self) -> int | None:
        """The step of the best validation, of equal ones the first; the newest where none was validated; None without
        checkpoints."""
        steps = rank_steps(self._steps())
        return steps[0].step if steps else None

    def save(self, state: TrainState, host: dict[str, Any], valid_loss: float | None, keep: Iterable[int] = ()) -> None:
        """Saves a state under its step. A step that is there already is left as it is, unless it was saved without the
        validation that it has now.

        Args:
            state: The training state.
            host: What the host keeps beside it, of JSON types.
            valid_loss: The number that its validation ranks it by, lower is better; None without one.
            keep: Steps that stay beside the newest and the best.

        Raises:
            OSError: Where the machine refuses to write.
        """
        step = int(state.step)
        rank = None if valid_loss is None else float(valid_loss)
        there = on_first(lambda: [saved.valid_loss for saved in self._steps() if saved.step == step])
        if there and (rank is None or there != [None]):
            return
        saving = self.folder / f"{step}{SAVING}"
        save_arrays(saving, _parts(state), host)
        on_first(lambda: _commit(self.folder, saving, step, rank, set(keep)))

    def drop_old(self, keep: Iterable[int]) -> None:
        """Removes the steps that a save would have removed, had the process lived on, or its mirror had time for it.

        Args:
            keep: Steps that stay beside the newest and the best.
        """
        on_first(lambda: _drop_old(self.folder, set(keep)))

    def restore_newest(self, template: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """The newest checkpoint that can be read, with its bookkeeping; None where there is none at all.

        Every damaged one gets another name and a warning. Raises UserError, and changes nothing, if there are
        checkpoints and none can be read: starting anew in their folder would lose them.
        """
        damaged: dict[int, str] = {int(step): reason for step, reason in on_first(self._find_damaged)}
        for saved in reversed(find_steps(self.folder)):
            if saved.step in damaged:
                continue
            try:
                state, host = _read(saved, template)
            except UserError:
                raise
            except Exception as error:  # orbax wraps every cause differently; a damaged file must not end a run
                damaged[saved.step] = root(error)
                continue
            self._set_aside(damaged, saved.step)
            return state, host
        if damaged:
            steps = sorted(damaged, reverse=True)
            got = f"{', '.join(map(str, steps))}: {damaged[steps[0]]}"
            raise UserError(f"a run resumes from a checkpoint that can be read, got {got}")
        return None

    def load_params(self, template: Params, step: int | None = None) -> Params:
        """The parameters of a step (default: the best), as `load_best` reads them."""
        return load_step(self.folder, template, step).params

    def load_best(self, template: Params) -> LoadedStep:
        """The best step that is whole, on one device, however many it was saved from."""
        return load_step(self.folder, template)

    def _steps(self):
        return [saved for saved in find_steps(self.folder) if saved.damage is None]

    def _find_damaged(self):
        found = ((saved.step, damage_of(saved)) for saved in find_steps(self.folder))
        return [(step, damage) for step, damage in found if damage is not None]

    def _set_aside(self, damaged, newest):
        for step, reason in sorted(damaged.items(), reverse=True):
            aside = on_first(lambda step=step: _rename_damaged(self.folder, step))
            action = "no longer counted" if aside is None else f"set aside as {aside}"
            warnings.warn(
                f"checkpoint {step} is damaged ({reason}); {action}; the run continues from step {newest}", stacklevel=3
            )
        on_first(lambda: _record_all(self.folder))


def restore_step(states: Path, template: TrainState, step: int) -> tuple[TrainState, dict[str, Any], float | None]:
    """Reads a chosen step, its bookkeeping and the number that its validation ranks it by; writes nothing.

    Args:
        states: The folder of steps.
        template: A state with the structure, shapes and devices of the one that is read.
        step: The number of the step.

    Raises:
        UserError: For a step that is not there, is damaged, or holds inf or nan.
    """
    saved = next((one for one in find_steps(Path(states).resolve()) if one.step == step), None)
    damage = "it is not there" if saved is None else damage_of(saved)
    if saved is None or damage is not None:
        raise UserError(f"a checkpoint must be whole to be read, got step {step} of {states}: {damage}")
    try:
        return (*_read(saved, template), saved.valid_loss)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"a run goes on from a checkpoint that can be read, got {step}: {root(error)}") from error


def _read(saved, template):
    """The state of a step and its bookkeeping. Raises whatever orbax does, and ValueError for inf or nan: a version
    that looked at less before it saved may have left them."""
    had, host = describe_arrays(saved.path, "train")
    _check_generator(template.key, had)
    state = _whole(template, load_arrays(saved.path, _parts(template, had)))
    bad = find_nonfinite({name: getattr(state, name) for name in ("params", "opt_state", "carry", "average")})
    if bad is not None:
        raise ValueError(f"{bad}, which no training goes on from")
    warn_if_unrecorded(saved, host)
    return state, host


def _check_generator(key, had):
    """Refuses a generator of random numbers with keys of another size; no other would give the numbers of the run."""
    stored, own = getattr(had.get("key"), "shape", None), jax.random.key_data(key).shape
    if stored is not None and tuple(stored) != own:
        raise UserError(
            f"a training goes on with the random numbers that it began with, of keys of {stored[-1]} words, got "
            f"{own[-1]} of {jax.random.key_impl(key)}: set JAX_DEFAULT_PRNG_IMPL to what it was then"
        )


def _commit(states, saving, step, valid_loss, keep):
    """Records a step that was saved, gives it its name, and removes those that are no longer needed."""
    write_record(states, record_step(saving, step, valid_loss))
    name_step(states, saving, step)
    sync_folder(states)
    _drop_old(states, keep)


def _drop_old(states, keep):
    steps = [saved for saved in find_steps(states) if saved.damage is None]
    for saved in steps[:-NEWEST]:
        if saved.step != rank_steps(steps)[0].step and saved.step not in keep:
            remove_step(states, saved.step)


def _rename_damaged(states, step):
    """Frees the name of a damaged step; returns the new one, None where there was no folder."""
    name = aside(states / str(step)).name
    record = record_path(states, step)
    if record.exists():
        record.rename(record.with_name(f"{name}.json"))
    if not (states / str(step)).exists():
        return None
    (states / str(step)).rename(states / name)
    return name


def _record_all(states):
    """Records the steps of a version that had no checksums, all in one operation."""
    steps = find_steps(states)
    records = records_of(states)
    if not steps or (records.exists() and any(records.iterdir())):
        return
    new = states.with_name(f"{states.name}{PART}")
    shutil.rmtree(records_of(new), ignore_errors=True)
    for saved in steps:
        write_record(new, record_step(saved.path, saved.step, saved.valid_loss))
    if records.exists():
        records.rmdir()
    records_of(new).rename(records)


def _parts(state, had=None):
    """`params` is what a run is loaded with; where that is an average, the parameters themselves go to `train`.

    had: the fields that there are, where a version before a field was added may have saved them.
    """
    rest = {field.name: getattr(state, field.name) for field in dataclasses.fields(state) if field.name != "params"}
    if _is_empty(state.carry):  # such as [B, 0] of a window of one token: there is nothing to save
        rest["carry"] = ()
    for name in ADDED_FIELDS:
        if rest[name] is None or (had is not None and name not in had):
            del rest[name]
    if "incidents" in rest and had is not None and not set(ADDED_COUNTERS) <= set(had["incidents"]):
        rest["incidents"] = {n: c for n, c in rest["incidents"]._asdict().items() if n not in ADDED_COUNTERS}
    if state.average is None:
        return {"params": state.params, "train": rest}
    return {"params": state.average.params, "train": {**rest, "average": state.average.count, "raw": state.params}}


def _is_empty(carry):
    return all(leaf.size == 0 for leaf in jax.tree.leaves(carry))


def _whole(template, parts):
    params, train = parts["params"], dict(parts["train"])
    if _is_empty(template.carry):
        train["carry"] = template.carry
    if isinstance(train.get("incidents"), dict):
        train["incidents"] = template.incidents._replace(**train["incidents"])
    if template.average is not None:
        average = template.average._replace(params=params, count=train["average"])
        params, train = train.pop("raw"), {**train, "average": average}
    return template.replace(params=params, **train)
