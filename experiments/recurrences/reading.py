"""The compared networks as readers of a text: their settings at equal numbers of parameters, and short excerpts."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from experiments.recurrences.architectures import hidden_size, settings_of
from lm_jax.config import OptimizerConfig, TrainConfig, from_flat
from lm_jax.data import Corpus, load_corpus
from lm_jax.runs.setup import Setup, set_up
from lm_jax.tasks import task_of


DEFAULT = "default text"
RATE = 3e-3  # of AdamW without decay, the same for all networks


def corpus_of(data: str | None, level: str = "char", max_vocab: int | None = None) -> Corpus:
    """The text that a study reads, with at most so many words; None: the default text."""
    flat = {"level": level} | ({"data": data} if data else {}) | ({"max_vocab": max_vocab} if max_vocab else {})
    return load_corpus(**dataclasses.asdict(from_flat(TrainConfig, flat).data))


def text_name(data: str | None, level: str = "char") -> str:
    """The name of a text in a record, without a path of one machine: that of its folder, and its level."""
    if data is None:
        return DEFAULT
    path = Path(data).resolve()
    return f"{(path if path.is_dir() else path.parent).name} by {level}"


def set_up_network(name: str, corpus: Corpus, parameters: int, context: int, training: dict[str, Any]) -> Setup:
    """Makes what it takes to train a network of about so many parameters.

    Args:
        name: one of NETWORKS.
        corpus: what it reads.
        parameters: wanted.
        context: tokens that attention reaches back to.
        training: settings by the names of their flags: seed, steps, batch_size, bptt.
    """
    size = hidden_size(name, len(corpus.vocabulary), parameters)
    optimizer = OptimizerConfig(learning_rate=RATE, schedule="constant")
    config = from_flat(TrainConfig, settings_of(name, size, context=context) | training, TrainConfig(optimizer))
    return set_up(task_of(config), config, corpus, training["steps"])


def cut(tokens: np.ndarray, texts: int, predictions: int) -> np.ndarray:
    """Texts [T + 1, B], spread evenly over the tokens."""
    starts = np.linspace(0, len(tokens) - predictions - 1, texts).astype(int)
    return np.stack([tokens[start : start + predictions + 1] for start in starts], axis=1)
