"""Several runs that differ in their seeds alone, trained side by side: what a result owes to chance.

RUN/seed-0, seed-1, ... are run folders like any other, each the run of its seed alone (on a CPU bit for bit, else up to
rounding); RUN/seeds.json has the means over them, with standard errors s / sqrt(n), s^2 = sum (x - mean)^2 / (n - 1).
"""

import contextlib
import dataclasses
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.config import RunConfig
from lm_jax.errors import UserError, check_sizes
from lm_jax.report.html import fragment, table_html
from lm_jax.report.numbers import short
from lm_jax.report.table import Table
from lm_jax.runs.active import ActiveRun
from lm_jax.runs.folder import SEEDS, RunFolder, check_new, new_folder
from lm_jax.runs.kept_text import keep_text
from lm_jax.runs.lock import claimed, locked
from lm_jax.runs.means import Means, mean_and_error
from lm_jax.runs.results import Run
from lm_jax.runs.setup import Setup, set_up
from lm_jax.runs.signals import stop_on_signal
from lm_jax.short_repr import shortly_shown
from lm_jax.strict_json import write_json
from lm_jax.tasks import task_of
from lm_jax.training.divergence import own_checks
from lm_jax.training.history import History
from lm_jax.training.listener import Listener
from lm_jax.training.side_by_side import fit_side_by_side, for_this_machine


@shortly_shown
class SeedResults(NamedTuple):
    """Contents of seeds.json. runs: names of the folders. splits: {split: {measure: {"mean", "error"}}} of the runs'
    own models; {} where a run was stopped. seconds: wall time."""

    runs: list[str]
    run: str
    model: str
    stopped: bool
    splits: dict[str, dict[str, dict[str, float]]]
    seconds: float
    command: str


@shortly_shown
class SeedRuns(NamedTuple):
    """The folder of all, the runs in the order of their seeds, and their results together."""

    folder: Path
    runs: list[Run]
    results: SeedResults

    def _repr_html_(self) -> str:
        rows = [
            (split, name.replace("_", " "), f"{short(measure['mean'])} ± {measure['error']:.2g}")
            for split, measures in self.results.splits.items()
            for name, measure in measures.items()
        ]
        table = Table(("split", "measure", "mean ± standard error"), tuple(rows), words=2)
        return fragment(f"{self.results.model}, {len(self.runs)} seeds: {self.folder}", table_html(table))


def train_seeds(
    config: RunConfig, seeds: int, run: str | Path | None = None, listener: Listener | None = None
) -> SeedRuns:
    """Trains several seeds, config.seed and those after it, in new folders RUN/seed-N.

    The listener hears means over the runs, validations with standard errors, and at the end `SeedResults`. Each run can
    be resumed alone, by its folder.

    Args:
        config: the settings of the first.
        seeds: how many, at least 2.
        run: the folder of all; default: the next free one below checkpoints/.
        listener: hears the events.

    Raises:
        UserError: before anything is written, for a request that cannot be carried out.
    """
    started, listener, task = time.perf_counter(), Listener() if listener is None else listener, task_of(config)
    configs = _configs(task, config, seeds)
    if run is not None:
        check_new(run)
    data = task.load(config, None)
    found = [task.choose(task.with_absolute_paths(one), data) for one in configs]
    setups = [set_up(task, one, data)._replace(chosen=chosen) for one, chosen in found]
    states = [setup.create() for setup in setups]
    folder = new_folder(run, f"{task.folder_name(config)}-seeds").path
    names = [f"seed-{one.seed}" for one in configs]
    with contextlib.ExitStack() as locks:
        locks.enter_context(claimed(folder))
        write_json(folder / SEEDS, {"runs": names})
        folders = [_make_folder(folder / name, setup) for name, setup in zip(names, setups, strict=True)]
        for one in folders:
            locks.enter_context(locked(one.path))
        runs = _train(setups, folders, states, Means(listener, folder, seeds))
    results = SeedResults(
        runs=names,
        run=str(folder),
        model=task.name(config),
        stopped=any(run.results.stopped for run in runs),
        splits=_summary(runs),
        seconds=time.perf_counter() - started,
        command=task.command,
    )
    record = {name: value for name, value in results._asdict().items() if name != "command"}
    write_json(folder / SEEDS, record)
    listener.on_end(results)
    return SeedRuns(folder, runs, results)


def _train(setups, folders, states, means):
    stopped = threading.Event()  # one for all
    with contextlib.ExitStack() as stack:
        active = [
            stack.enter_context(ActiveRun(setup, folder, state, History(), hearing, stopped=stopped))
            for setup, folder, state, hearing in zip(setups, folders, states, means.listeners(), strict=True)
        ]
        states.clear()  # their buffers go to the steps
        with stop_on_signal(stopped), own_checks():
            trainings = [one.training for one in active]
            fit_side_by_side(trainings, for_this_machine(setups[0].train_steps), means.on_steps, means.on_over)
        return [one.finish() for one in active]


def _make_folder(path: Path, setup: Setup) -> RunFolder:
    folder = RunFolder(path)
    record = {"decay_horizon": setup.horizon, "corpus": setup.data.record}
    folder.create(setup.config, setup.data.vocabulary, record)
    keep_text(setup.task, setup.data, path)
    return folder


def _configs(task, config, seeds):
    check_sizes(seeds=seeds)
    if seeds < 2:
        raise UserError(f"seeds must be at least 2, for a standard error, got {seeds}", ["seeds"])
    if task.estimation is not None:
        raise UserError(f"seeds are for models that are trained by steps, got {task.name(config)}", ["seeds"])
    if config.devices > 1:
        raise UserError(f"devices must be left out with several seeds, got {config.devices}", ["devices"])
    task.check_seeds(config)
    configs = [dataclasses.replace(config, seed=config.seed + number) for number in range(seeds)]
    for one in configs:
        one.check()
    return configs


def _summary(runs: list[Run]) -> dict[str, dict[str, dict[str, float]]]:
    """The mean and error of each measure of each split that all runs have."""
    summaries: list[dict[str, Any]] = [dict(run.results.closing.summary) for run in runs]
    shared = [split for split in summaries[0] if all(split in one for one in summaries)]
    return {
        split: {measure: mean_and_error([one[split][measure] for one in summaries]) for measure in summaries[0][split]}
        for split in shared
    }
