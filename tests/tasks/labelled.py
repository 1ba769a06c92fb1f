"""Texts whose label a few steps can learn: which of two words stands first."""

import random
from pathlib import Path

from lm_jax.config import ClassifyConfig, from_flat


WORDS = ("a", "cab", "bad", "dab", "aba", "cad")


def write_labelled(path: Path, count: int = 80, seed: int = 0) -> str:
    """Writes lines LABEL<tab>TEXT; the label is the first word of the text, of two. Returns the path."""
    generator = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for _ in range(count):
        first = generator.choice(("good", "poor"))
        words = generator.choices(WORDS, k=generator.randint(0, 14))
        lines.append(f"{first}\t{' '.join([first, *words])}\n")
    path.write_text("".join(lines))
    return str(path)


def classify_config(path: Path, **changes) -> ClassifyConfig:
    """20 steps on `write_labelled`; `changes` are settings by their flat names."""
    toy = {"batch_size": 4, "steps": 20, "log_every": 5, "eval_every": 8, "hidden_size": 4, "embedding_size": 4}
    return from_flat(ClassifyConfig, {"data": write_labelled(path), "learning_rate": 0.02, **toy, **changes})
