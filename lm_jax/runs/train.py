"""A run from start to finish, and from where it was stopped: `lm-jax train` in a few functions.

Everything that can go wrong with a request goes wrong before the run folder is made.
"""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from lm_jax.config import RunConfig, TrainConfig, from_dict
from lm_jax.config.flat import flat_values
from lm_jax.config.text_defaults import fill_in
from lm_jax.errors import UserError
from lm_jax.runs.active import ActiveRun
from lm_jax.runs.advice import advising
from lm_jax.runs.branch import BRANCH_CHANGES, check_step, make_branch, read_branch, save_branch
from lm_jax.runs.estimate import estimate
from lm_jax.runs.folder import RunFolder, check_new, new_folder
from lm_jax.runs.kept_text import as_recorded, keep_text
from lm_jax.runs.lock import claimed, locked
from lm_jax.runs.mirror import check_free, home_of, move_home
from lm_jax.runs.open import OpenedRun, open_run
from lm_jax.runs.pretrained import begun, read_pretrained
from lm_jax.runs.results import Run
from lm_jax.runs.setup import Setup, set_up
from lm_jax.runs.signals import stop_on_signal
from lm_jax.tasks import SavedData, Task, task_of
from lm_jax.training.checkpoints import Checkpoints
from lm_jax.training.compile_time import reporting_compilation
from lm_jax.training.devices import find_devices
from lm_jax.training.divergence import own_checks
from lm_jax.training.history import History
from lm_jax.training.listener import Listener
from lm_jax.training.loop import fit
from lm_jax.training.processes import is_first, on_first
from lm_jax.training.saved_steps import find_steps
from lm_jax.training.state import TrainState


CHANGEABLE = (
    "epochs",
    "steps",
    "log_every",
    "telemetry_every",
    "checkpoint_every",
    "devices",
    "vocab_shards",
    "device_tokens",
)


def train(
    config: Any = TrainConfig(),
    run: str | Path | None = None,
    listener: Listener | None = None,
    mirror: str | Path | None = None,
) -> Run:
    """Trains or estimates a model in a new run folder.

    Args:
        config: the settings of a task, such as `TrainConfig` (any `RunConfig`) or `NGramConfig`.
        run: the folder; default: the next free one below checkpoints/.
        listener: hears the events of the run.
        mirror: a folder, such as one on a mounted Drive, where a copy of the run folder is kept up to date.

    Returns:
        The finished run: folder, model, best parameters, vocabulary, results.

    Raises:
        UserError: before anything is written, for a request that cannot be carried out.
    """
    config.check()
    task, listener = task_of(config), Listener() if listener is None else listener
    if task.estimation is not None:
        if mirror is not None:
            raise UserError(f"mirror must be left out for a model estimated without steps, got {mirror}", ["mirror"])
        return estimate(task, config, run, listener)
    devices = find_devices(config.devices, config.vocab_shards)
    if run is not None:
        on_first(lambda: str(check_new(run)))  # a folder in use is refused before data are read
    if mirror is not None:
        on_first(lambda: check_free(run, mirror))
    config, saved, pretrained = begun(config)
    task = task_of(config)  # that of the weights, where no other was asked for
    data = task.load(config, saved)
    config, chosen = task.choose(config, data)
    config = task.with_absolute_paths(config)
    setup = set_up(task, config, data, devices=devices, pretrained=pretrained)._replace(chosen=chosen)
    state = setup.create()

    with contextlib.ExitStack() as lock:

        def make_folder():
            folder = new_folder(run, task.folder_name(config), mirror)
            lock.enter_context(claimed(folder.path))
            folder.create(config, data.vocabulary, {"decay_horizon": setup.horizon, "corpus": data.record})
            keep_text(task, data, folder.path)
            return str(folder.path)

        folder = RunFolder(Path(on_first(make_folder)), writes=is_first())
        return _train(setup, folder, state, History(), listener, mirror)


def resume(
    run: str | Path,
    config: Any = None,
    listener: Listener | None = None,
    mirror: str | Path | None = None,
    into: str | Path | None = None,
    from_step: int | None = None,
) -> Run:
    """Goes on with a run from its newest checkpoint, bit for bit as if it had never been stopped.

    With `from_step`: begins a new run in `into` from that step of this one, which stays as it is.

    Args:
        run: the folder of the run.
        config: the run's own settings with other epochs, steps, log_every, telemetry_every, checkpoint_every, devices,
            vocab_shards or device_tokens.
        listener: hears the events.
        mirror: as in `train`.
        into: a new folder that the run is copied to and goes on in. Default: a run that lies in the mirror goes on in
            checkpoints/NAME, any other in its own folder.
        from_step: a step that the run has a checkpoint of. learning_rate, clip, on_nonfinite, on_spike and good_states
            may then change, too.

    Returns:
        The run, as `train` does.

    Raises:
        UserError: for any other change, for a folder that is no run, and for data that the run did not begin with.
    """
    folder, listener = RunFolder(Path(run).expanduser()), Listener() if listener is None else listener
    if from_step is not None:
        return _branch(open_run(folder.path), from_step, config, into, listener, mirror)
    home = Path(on_first(lambda: str(home_of(folder.path, into, mirror))))
    opened = open_run(folder.path)
    task = resumable_task(opened)
    config = opened.config if config is None else _merge(task, opened.config, config)
    config.check()
    devices = find_devices(config.devices, config.vocab_shards)
    data = task.load(config, SavedData(opened.vocabulary, opened.record["corpus"]))
    config = as_recorded(task, config, opened.path)
    anew = not find_steps(RunFolder(opened.path).states)  # it was stopped before its first checkpoint
    pretrained = read_pretrained(task, config) if anew else None
    setup = set_up(task, config, data, opened.record["decay_horizon"], devices, pretrained)
    state = setup.create()
    with contextlib.ExitStack() as lock:

        def move():
            if home.exists():  # its own folder; a new one is made by a copy, in one operation
                lock.enter_context(locked(home))
            return str(move_home(folder, home, mirror, (*CHANGEABLE, *task.movable)).path)

        own = home.exists()
        here = RunFolder(Path(on_first(move)), writes=is_first())
        if not own:
            on_first(lambda: lock.enter_context(locked(here.path)))
        state, history, digest = _restore(setup, opened, here, state)
        if setup.plan.steps < int(state.step):
            got = f"{int(state.step)}, got {setup.plan.steps} steps"
            raise UserError(f"a resumed run ends after the step it is at, {got}")
        here.cut_back(int(state.step), history.unvalidated)
        here.check_log(digest)
        here.update_config(config)
        return _train(setup, here, state, history, listener, mirror)


def _branch(opened, step, config, into, listener, mirror):
    """Begins a new run from a step of another."""
    if into is None:
        raise UserError(
            f"from_step begins a new run: it needs run=FOLDER, got none for step {step}", ["from_step", "run"]
        )
    on_first(lambda: str(check_new(into)))
    if mirror is not None:
        on_first(lambda: check_free(into, mirror))
    task = resumable_task(opened)
    on_first(lambda: check_step(opened, step))
    config = opened.config if config is None else _merge(task, opened.config, config, BRANCH_CHANGES)
    config.check()
    devices = find_devices(config.devices, config.vocab_shards)
    data = task.load(config, SavedData(opened.vocabulary, opened.record["corpus"]))
    setup = set_up(task, config, data, opened.record["decay_horizon"], devices)
    if setup.plan.steps <= step:
        raise UserError(
            f"a run ends after the step that it begins with, {step}, got {setup.plan.steps} steps", ["steps"]
        )
    branch = read_branch(setup, opened, step)
    with contextlib.ExitStack() as lock:

        def make_folder():
            folder = new_folder(into, task.folder_name(config), mirror)
            lock.enter_context(claimed(folder.path))
            make_branch(folder, setup, opened, branch)
            return str(folder.path)

        folder = RunFolder(Path(on_first(make_folder)), writes=is_first())
        save_branch(folder, setup, branch)
        return _train(setup, folder, branch.state, branch.history, listener, mirror)


def resumable_task(opened: OpenedRun) -> Task:
    """Returns the task of a run; raises UserError for one that has no steps."""
    task = task_of(opened.config)
    if task.estimation is not None:
        raise UserError(f"a model that is estimated without steps has nothing to resume, got {opened.path}")
    return task


def _restore(
    setup: Setup, opened: OpenedRun, folder: RunFolder, state: TrainState
) -> tuple[TrainState, History, str | None]:
    with Checkpoints(folder.states) as states:
        restored = states.restore_newest(state)
        if restored is None:
            return state, History(), None
        state, record = restored
        opened.check_vocabulary(record)
        saved = from_dict(type(setup.config), record["config"])
        _refuse_changes(setup.task, saved, setup.config)
        history = History.from_record(record["history"])
        states.drop_old((*history.good, history.last_resort))
    return state, history, record.get("log")


def _merge(task: Task, saved: RunConfig, config: RunConfig, also: tuple[str, ...] = ()) -> RunConfig:
    """`config`, if it differs from the saved one only where it may; data may have moved (their sha256 is checked).
    What it leaves open is as saved."""
    config, _ = fill_in(config, flat_values(saved))
    if config.epochs != saved.epochs and config.steps == saved.steps:
        config = dataclasses.replace(config, steps=None)
    _refuse_changes(task, saved, config, also)
    return task.with_absolute_paths(config)


def _refuse_changes(task: Task, saved: RunConfig, wanted: RunConfig, also: tuple[str, ...] = ()) -> None:
    before, after, allowed = flat_values(saved), flat_values(wanted), (*CHANGEABLE, *also)
    for name, value in before.items():
        if after.get(name, value) != value and name not in (*allowed, *task.movable):
            hint = "" if also or name not in BRANCH_CHANGES else "; from_step=N with run=NEW begins a new run that may"
            raise UserError(
                f"a training that goes on may change {', '.join(allowed)} only, "
                f"got {name} = {after[name]} (it has {value}){hint}",
                (*allowed, name, *(("from_step", "run") if hint else ())),
            )


def _train(setup, folder, state, history, listener, mirror) -> Run:
    with ActiveRun(setup, folder, state, history, listener, mirror) as active:
        train_steps = reporting_compilation(setup.train_steps, active.journal.on_compilation)
        with stop_on_signal(active.stopped), advising(setup, folder), own_checks():
            fit(active.training, train_steps)
        return active.finish()
