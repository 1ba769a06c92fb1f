"""Runs of a study: started, continued or only read, so that the same command goes on where it was stopped."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import lm_jax
from experiments.harness.costs import cost_of, counted
from lm_jax.config import RunConfig
from lm_jax.data import Batches, Streams, Vocabulary
from lm_jax.runs import open_run
from lm_jax.tasks import task_of
from lm_jax.training import BatchSource
from lm_jax.types import Params


class StudyRun(NamedTuple):
    """A finished run: its folder, the model with the best parameters and the vocabulary, what results.json holds, and
    the cost of its training where it is known (see experiments/harness/costs.py)."""

    folder: Path
    model: Any
    params: Params
    vocabulary: Vocabulary
    results: dict[str, Any]
    cost: dict[str, Any]


def trained(
    config: lm_jax.TrainConfig | lm_jax.NGramConfig, folder: Path, listener: lm_jax.Listener | None = None
) -> StudyRun:
    """Returns the finished run of a folder: trained, trained to its end, or only read where it has come to its end.

    Args:
        config: for a new run. A run that was begun keeps its own, but for the number of epochs and steps.
        folder: of the run.
        listener: of the training.

    Raises:
        SystemExit: the training was stopped.
    """
    if finished(folder, config) is None:
        print(f"training: {folder}", flush=True)
        with counted(folder):
            _train(config, folder, listener)
    results = _results(folder)
    if results is None:
        raise SystemExit("stopped; the same command goes on")
    one = lm_jax.load(folder)
    return StudyRun(folder, one.model, one.params, one.vocabulary, results, cost_of(folder))


def finished(folder: Path, config: lm_jax.TrainConfig | lm_jax.NGramConfig) -> dict[str, Any] | None:
    """Returns the results of a run that was trained as long as the configuration says, else None."""
    results = _results(folder)
    if results is not None and isinstance(config, RunConfig):
        saved = open_run(folder).config
        if (saved.epochs, saved.steps) != (config.epochs or saved.epochs, config.steps):
            return None
    return results


def _results(folder):
    """What results.json holds; None of a run that has not come to an end."""
    path = folder / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {"stopped": True}
    return None if results.get("stopped") else results


def _train(config, folder, listener):
    begun = (folder / "config.json").exists()
    if begun and isinstance(config, RunConfig):
        saved = open_run(folder).config
        longer = dataclasses.replace(saved, epochs=config.epochs or saved.epochs, steps=config.steps)
        lm_jax.resume(folder, longer, listener)
        return
    if task_of(config).estimation is not None:
        shutil.rmtree(folder, ignore_errors=True)  # what a crash left: there is nothing to go on with
    lm_jax.train(config, folder, listener)


def lines_of(folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    """Returns the records of a run's metrics.jsonl or times.jsonl."""
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def epoch_streams(batches: Batches | BatchSource, epoch: int = 0) -> Streams:
    """Returns the tokens of an epoch, on the device."""
    return jax.tree.map(jnp.asarray, batches.epoch(epoch))
