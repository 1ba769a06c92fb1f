"""Parallel text that some steps can learn: words for digits, and another sign at the end."""

import random
from collections.abc import Sequence
from pathlib import Path

from lm_jax.config import TranslateConfig, from_flat


GERMAN, ENGLISH = ("null", "eins", "zwei", "drei"), ("zero", "one", "two", "three")


def write_parallel(path: Path, lengths: Sequence[int] = (3,), count: int = 60) -> str:
    """Writes lines SOURCE<tab>TARGET of so many words: each length compiles once. Returns the path."""
    generator = random.Random(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for _ in range(count):
        digits = generator.choices(range(4), k=generator.choice(lengths))
        source, target = (" ".join(side[digit] for digit in digits) for side in (GERMAN, ENGLISH))
        lines.append(f"{source}.\t{target}!\n")
    path.write_text("".join(lines))
    return str(path)


def translate_config(path: Path, lengths: Sequence[int] = (3,), **changes) -> TranslateConfig:
    """20 steps on `write_parallel` of a model that compiles fast; `changes` are settings by their flat names."""
    toy = {"batch_size": 8, "steps": 20, "log_every": 5, "eval_every": 8, "hidden_size": 4, "embedding_size": 4}
    toy |= {
        "level": "word",
        "learning_rate": 0.02,
        "beam_size": 1,
        "dropout": 0.0,
        "bidirectional": False,
        "cell": "rnn",
    }
    return from_flat(TranslateConfig, {"data": write_parallel(path, lengths), **toy, **changes})
