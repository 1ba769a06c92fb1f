"""Runs: a folder with settings, a vocabulary, checkpoints, logs and results, whatever task it trains."""

from lm_jax.runs.open import OpenedRun, open_run
from lm_jax.runs.results import EstimateResults, Run, TrainResults
from lm_jax.runs.seeds import SeedResults, SeedRuns, train_seeds
from lm_jax.runs.train import resume, train


__all__ = [
    "EstimateResults",
    "OpenedRun",
    "Run",
    "SeedResults",
    "SeedRuns",
    "TrainResults",
    "open_run",
    "resume",
    "train",
    "train_seeds",
]
