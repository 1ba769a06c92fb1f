"""The text of a run that came through a pipe: the run folder keeps it, since it cannot be read again.

The settings on disk say "-" for the data, so that a run folder can be moved; who opens the run finds the file.
"""

from pathlib import Path
from typing import Any

from lm_jax.data.standard_input import STANDARD_INPUT
from lm_jax.files import write_bytes
from lm_jax.tasks import Task


KEPT = "standard_input.txt"


def keep_text(task: Task, data: Any, folder: Path) -> None:
    """Writes the text of data that can be read only once into the run folder; does nothing for other data.

    Args:
        task: The task of the run.
        data: Its data.
        folder: The run folder.
    """
    text = task.stream(data)
    if text is not None:
        write_bytes(folder / KEPT, text)


def with_kept_text(task: Task, config: Any, folder: Path) -> Any:
    """Returns settings whose data are the text that the run folder keeps, if it keeps one.

    Args:
        task: The task of the run.
        config: Its settings.
        folder: The run folder.
    """
    file = folder / KEPT
    return task.with_data(config, str(file.resolve())) if file.is_file() else config


def as_recorded(task: Task, config: Any, folder: Path) -> Any:
    """Returns settings as they are written to the disk, without the place of the run folder.

    Args:
        task: The task of the run.
        config: Its settings.
        folder: The run folder.
    """
    return task.with_data(config, STANDARD_INPUT) if (folder / KEPT).is_file() else config
