"""Several runs that differ in their seeds alone, trained side by side: what a result owes to chance.

RUN/seed-0, seed-1, ... are run folders like any other, each the run of its seed alone (on a CPU bit for bit, else up to
rounding); RUN/seeds.json has the means over them, with standard errors s / sqrt(n), s^2 = sum (x - mean)^2 / (n - 1).
"""

import dataclasses
import json
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm_jax.config import TrainConfig
from lm_jax.data.batching import Streams
from lm_jax.data.corpora import load_corpus
from lm_jax.errors import UserError, check_sizes
from lm_jax.runs.folder import SEEDS, RunFolder, check_new, corpus_facts, new_folder
from lm_jax.runs.setup import build_batches, model_name, set_up, total_steps
from lm_jax.runs.signals import stop_on_signal
from lm_jax.runs.train import Listener, Run, course_of_run, with_absolute_path
from lm_jax.training import loop
from lm_jax.training.together import drive_together, for_this_machine


class SeedRuns(NamedTuple):
    """The folder of all, the runs in the order of their seeds, and what seeds.json has."""

    folder: Path
    runs: list[Run]
    results: dict[str, Any]


def train_seeds(
    config: TrainConfig, seeds: int, run: str | Path | None = None, listener: Listener = Listener()
) -> SeedRuns:
    """Trains the seeds config.seed, config.seed + 1, ..., `seeds` of them, in new folders RUN/seed-N.

    The listener hears means over the runs: on_validation gets valid_loss and valid_perplexity with valid_loss_error and
    valid_perplexity_error, on_end what seeds.json has. Each run can be resumed alone, by its folder. Raises UserError,
    before anything is written, for a request that cannot be carried out.
    """
    configs = _configs(config, seeds)
    if run is not None:
        check_new(run)
    corpus = load_corpus(**dataclasses.asdict(config.data))
    horizon = total_steps(config, build_batches(config, corpus))
    setups = [set_up(with_absolute_path(one), corpus, horizon) for one in configs]
    states = [setup.create() for setup in setups]
    kind = config.model.cell if config.model.model == "recurrent" else config.model.model
    folder = new_folder(run, f"{kind}-{config.data.level}-seeds").path
    names = [f"seed-{one.seed}" for one in configs]
    (folder / SEEDS).write_text(json.dumps({"runs": names}, indent=2) + "\n")
    facts = {"decay_horizon": horizon, "corpus": corpus_facts(corpus)}
    for name, setup in zip(names, setups, strict=True):
        RunFolder(folder / name).create(setup.config, corpus.vocabulary, facts)
    started, means, clock = time.perf_counter(), _Means(listener, seeds), _Clock()

    def on_dispatch(count, seconds):
        means.next_round()
        clock.note(count, seconds)

    with stop_on_signal() as stopped:
        courses = [
            course_of_run(setup, RunFolder(folder / name), state, loop.History(), told, stopped=stopped)
            for name, setup, state, told in zip(names, setups, states, means.listeners(folder), strict=True)
        ]
        del states  # their buffers go to the steps
        runs = drive_together(for_this_machine(setups[0].train_steps), courses, on_dispatch)
    results = {
        "runs": names,
        "run": str(folder),
        "model": model_name(config),
        "stopped": any(one.results["stopped"] for one in runs),
        "splits": _summary(runs, model_name(config)),
        "cost": None if stopped.is_set() else clock.cost(setups[0], seeds),
        "seconds": time.perf_counter() - started,
    }
    (folder / SEEDS).write_text(json.dumps(results, indent=2) + "\n")
    listener.on_end(results)
    return SeedRuns(folder, runs, results)


def _configs(config, seeds):
    check_sizes(seeds=seeds)
    if seeds < 2:
        raise UserError(f"seeds must be at least 2, for a standard error, got {seeds}")
    if config.devices > 1:
        raise UserError(f"devices must be left out with several seeds, got {config.devices}")
    if config.random_bptt:  # every seed has its own lengths of chunks
        raise UserError(f"random_bptt must be left out with several seeds, got {config.random_bptt}")
    if config.model.recurrence == "cudnn":  # it has no vmap
        raise UserError("recurrence must be another than cudnn with several seeds, got cudnn")
    configs = [dataclasses.replace(config, seed=config.seed + number) for number in range(seeds)]
    for one in configs:
        one.check()
    return configs


def mean_and_error(values: list[float]) -> dict[str, float]:
    """The mean of at least two values, and its standard error."""
    return {"mean": statistics.fmean(values), "error": statistics.stdev(values) / len(values) ** 0.5}


def _summary(runs, name):
    """{split: {cross_entropy, perplexity: {mean, error}}} of the runs' own models; {} of stopped runs."""
    splits: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        for row in run.results["rows"]:
            if row["model"] == name:
                measures = splits.setdefault(row["split"], {"cross_entropy": [], "perplexity": []})
                for measure, values in measures.items():
                    values.append(row[measure])
    complete = {split: one for split, one in splits.items() if len(one["perplexity"]) == len(runs)}
    return {split: {name: mean_and_error(v) for name, v in one.items()} for split, one in complete.items()}


class _Means:
    """Hears every run, and tells the listener of a step when all that still go on have told of it."""

    def __init__(self, listener, seeds):
        self.listener, self.going, self.ended = listener, seeds, 0
        self.waiting: dict[tuple[str, int], list[tuple]] = {}

    def next_round(self):
        """Runs that have ended are no longer waited for."""
        self.going, self.ended = self.going - self.ended, 0

    def listeners(self, folder):
        """One for each run; of the first come the beginning, the bar and the telemetry."""
        each = Listener(
            on_report=lambda *told: self._take(self._report, told),
            on_validation=lambda *told: self._take(self._validation, told),
            on_scoring=self.listener.on_scoring,
            on_end=self._end,
        )
        first = each._replace(
            on_start=lambda facts: self.listener.on_start({**facts, "run": str(folder), "seeds": self.going}),
            on_dispatch=self.listener.on_dispatch,
            on_telemetry=self.listener.on_telemetry,
        )
        return [first, *[each] * (self.going - 1)]

    def _end(self, results):
        self.ended += 1

    def _take(self, tell, told):
        key = (tell.__name__, told[0]["step"])
        group = self.waiting.setdefault(key, [])
        group.append(told)
        if len(group) == self.going:
            tell(*zip(*self.waiting.pop(key), strict=True))

    def _report(self, records, times):
        mean = _mean(times)
        if mean["tokens_per_second"] is not None:  # of each, not of all together
            mean["tokens_per_second"] /= self.going
        self.listener.on_report(_mean(records), mean)

    def _validation(self, records, samples):
        record = _mean(records)
        for name in ("valid_loss", "valid_perplexity"):
            if len(records) > 1:
                record[f"{name}_error"] = mean_and_error([one[name] for one in records])["error"]
        self.listener.on_validation(record, samples[0])


def _mean(records):
    """Numbers are averaged, None and switches are the first's."""
    first = records[0]

    def value(name):
        is_number = isinstance(first[name], int | float) and not isinstance(first[name], bool) and name != "step"
        return statistics.fmean(one[name] for one in records) if is_number else first[name]

    return {name: value(name) for name in first}


class _Clock:
    """The shortest time of a step of all runs, against that of a step of one."""

    def __init__(self):
        self.together = float("inf")

    def note(self, count, seconds):
        self.together = min(self.together, seconds / count)

    def cost(self, setup, seeds):
        """Times as long as one run, measured on about a second of steps of a run that is thrown away."""
        streams = jax.tree.map(jnp.asarray, Streams(*setup.batches.epoch(0)))
        state = jax.block_until_ready(setup.train_steps(setup.create(), streams, 1, length=setup.config.bptt))
        count = max(1, min(setup.batches.steps_per_epoch - 1, round(seeds / self.together)))
        started = time.perf_counter()
        jax.block_until_ready(setup.train_steps(state, streams, count, length=setup.config.bptt))
        return self.together / ((time.perf_counter() - started) / count)
