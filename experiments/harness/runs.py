"""Runs of a study: started, continued or only read, so that the same command goes on where it was stopped."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import lm_jax
from lm_jax.data.batching import Batches, Streams


def trained(config: lm_jax.TrainConfig | lm_jax.NGramConfig, folder: Path, listener=None) -> lm_jax.Run:
    """The finished run of a folder: trained, trained to its end, or only read where it has come to its end.

    Args:
        config: for a new run. A run that was begun keeps its own, but for the number of epochs and steps.
        folder: of the run.
        listener: of the training.

    Raises:
        SystemExit: the training was stopped.
    """
    results = finished(folder, config)
    if results is None:
        print(f"training: {folder}", flush=True)
        results = _train(config, folder, listener).results
    return lm_jax.Run(folder, *lm_jax.load(folder), results)


def finished(folder: Path, config: lm_jax.TrainConfig | lm_jax.NGramConfig) -> dict[str, Any] | None:
    """The results of a run that was trained as long as the configuration says, else None."""
    path = folder / "results.json"
    results = json.loads(path.read_text()) if path.exists() else None
    if results is None or results.get("stopped"):
        return None
    if isinstance(config, lm_jax.TrainConfig):
        saved = lm_jax.read_run(folder)[0]
        if (saved.epochs, saved.steps) != (config.epochs, config.steps):
            return None
    return results


def _train(config, folder, listener):
    if isinstance(config, lm_jax.NGramConfig):
        shutil.rmtree(folder, ignore_errors=True)  # what a crash left: there is nothing to go on with
        return lm_jax.train_ngram(config, folder)
    if (folder / "config.json").exists():
        saved = lm_jax.read_run(folder)[0]
        longer = dataclasses.replace(saved, epochs=config.epochs, steps=config.steps)
        run = lm_jax.resume(folder, longer, listener or lm_jax.Listener())
    else:
        run = lm_jax.train(config, folder, listener or lm_jax.Listener())
    if run.results["stopped"]:
        raise SystemExit("stopped; the same command goes on")
    return run


def lines_of(run: lm_jax.Run, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    """The records of a run's metrics.jsonl or times.jsonl."""
    return [json.loads(line) for line in (run.folder / name).read_text().splitlines()]


def epoch_streams(batches: Batches, epoch: int = 0) -> Streams:
    """The tokens of an epoch, on the device."""
    return jax.tree.map(jnp.asarray, Streams(*batches.epoch(epoch)))
