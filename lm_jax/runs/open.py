"""Opening the folder of a run: the settings, the record beside them and the vocabulary, without the model."""

from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.config import NGramConfig, TrainConfig
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.runs.folder import RunFolder


class OpenedRun(NamedTuple):
    """A run as its folder tells it.

    record: config.json beside the settings (corpus, Python).
    """

    path: Path
    config: TrainConfig | NGramConfig
    record: dict[str, Any]
    vocabulary: Vocabulary


def open_run(path: str | Path) -> OpenedRun:
    """Reads the folder of a run. Raises UserError if it is none, or not a readable one."""
    folder = RunFolder(Path(path))
    return OpenedRun(folder.path, *folder.read())
