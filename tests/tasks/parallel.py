"""Parallel text that a few steps can learn: words for digits, in the other order."""

import random
from pathlib import Path

from lm_jax.config import TranslateConfig, from_flat


GERMAN, ENGLISH = ("null", "eins", "zwei", "drei"), ("zero", "one", "two", "three")


def write_parallel(path: Path, count: int = 60, seed: int = 0) -> str:
    """Writes lines SOURCE<tab>TARGET of one to five words. Returns the path."""
    generator = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for _ in range(count):
        digits = generator.choices(range(4), k=generator.randint(1, 5))
        source, target = (" ".join(side[digit] for digit in digits) for side in (GERMAN, ENGLISH))
        lines.append(f"{source}.\t{target}!\n")
    path.write_text("".join(lines))
    return str(path)


def translate_config(path: Path, **changes) -> TranslateConfig:
    """20 steps on `write_parallel`; `changes` are settings by their flat names."""
    toy = {"batch_size": 8, "steps": 20, "log_every": 5, "eval_every": 8, "hidden_size": 4, "embedding_size": 4}
    toy |= {"level": "word", "learning_rate": 0.02, "beam_size": 3}
    return from_flat(TranslateConfig, {"data": write_parallel(path), **toy, **changes})
