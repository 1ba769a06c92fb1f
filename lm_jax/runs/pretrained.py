"""What a new run begins with instead of random numbers: another run, or a file of weights."""

from pathlib import Path
from typing import Any

from lm_jax.cells.user import has_user_cell, with_user_cell
from lm_jax.errors import UserError
from lm_jax.runs.open import open_run
from lm_jax.tasks import Pretrained, SavedData, Task, task_of


NAMES = ("vocabulary",)


def read_pretrained(task: Task, config: Any) -> Pretrained | None:
    """Reads the run or the file whose parameters a new run begins with; None where its settings name none."""
    path = task.pretrained(config)
    if path is None:
        return None
    if task.read_weights is not None and Path(path).expanduser().is_file():
        return task.read_weights(config)
    opened = open_run(path)
    if getattr(config, "vocabulary", None) is not None:
        raise UserError(f"vocabulary must be left out with a run, which has its own, got {config.vocabulary}", NAMES)
    if has_user_cell(config):
        opened = opened._replace(config=with_user_cell(opened.config, config.model.cell))
    return Pretrained(path, opened.config, opened.vocabulary, opened.load()[1])


def begun(config: Any) -> tuple[Any, SavedData | None, Pretrained | None]:
    """Returns the settings with what the weights say that they begin with, the vocabulary that comes with these, and
    the weights."""
    task = task_of(config)
    pretrained = read_pretrained(task, config)
    if pretrained is None or task.begin is None:
        return config, None, pretrained
    return *task.begin(config, pretrained), pretrained
