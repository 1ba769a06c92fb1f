"""Texts of drawn sentences, a list of words each, and their ids."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lm_jax.data import Vocabulary


def write_corpus(folder: Path, lines: int, draw: Callable[[int], list[str]]) -> None:
    """Writes a training text of so many lines, and validation and test texts of a twentieth; draw: from the number."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", lines), ("valid", lines // 20), ("test", lines // 20)):
        (folder / f"{split}.txt").write_text("".join(" ".join(draw(k)) + "\n" for k in range(count)))


def ids_of(sentences: Sequence[list[str]], vocabulary: Vocabulary) -> np.ndarray:
    """The sentences as columns of ids [T, B] after the end-of-line token, padded with it at the end."""
    rows = [[vocabulary.eol_id, *(vocabulary.ids[word] for word in words)] for words in sentences]
    return np.array([row + [vocabulary.eol_id] * (max(map(len, rows)) - len(row)) for row in rows]).T
