"""Runs: a folder with a configuration, a vocabulary, checkpoints, logs and results."""

from lm_jax.runs.ngram import train_ngram
from lm_jax.runs.open import OpenedRun, open_run
from lm_jax.runs.seeds import SeedRuns, train_seeds
from lm_jax.runs.train import Listener, Run, resume, train


__all__ = [
    "Listener",
    "OpenedRun",
    "Run",
    "SeedRuns",
    "open_run",
    "resume",
    "train",
    "train_ngram",
    "train_seeds",
]
