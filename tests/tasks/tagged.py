"""Sentences whose tags a few steps can learn: spans of capital words, of a kind that their first letter says."""

import random
from pathlib import Path

from lm_jax.config import TagConfig, from_flat


SMALL = ("a", "cab", "bad", "dab", "aba", "cad")


def write_tagged(path: Path, count: int = 60, seed: int = 0) -> str:
    """Writes a file of two columns with BIO tags; every sentence has a name of capital letters. Returns the path."""
    generator = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for _ in range(count):
        before, after = (generator.choices(SMALL, k=generator.randint(0, 3)) for _ in range(2))
        kind, length = generator.choice("XY"), generator.randint(1, 3)
        name = [kind + "".join(generator.choices("ABCDE", k=4)) for _ in range(length)]
        lines += [f"{word}\tO" for word in before]
        lines += [f"{word}\t{'I' if number else 'B'}-{kind.lower()}" for number, word in enumerate(name)]
        lines += [*(f"{word}\tO" for word in after), ""]
    path.write_text("\n".join(lines))
    return str(path)


def tag_config(path: Path, **changes) -> TagConfig:
    """20 steps on `write_tagged`; `changes` are settings by their flat names."""
    toy = {"batch_size": 4, "steps": 20, "log_every": 5, "eval_every": 8, "hidden_size": 4, "embedding_size": 4}
    characters = {"char_features": "cnn", "char_embedding_size": 3, "char_size": 4, "word_length": 5}
    if "char_features" in changes:
        characters = {}
    return from_flat(TagConfig, {"data": write_tagged(path), "learning_rate": 0.02, **toy, **characters, **changes})
