"""A run with its model loaded: what every query works on, and how a query gets it from the path of a run."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lm_jax.cells.user import with_user_cell
from lm_jax.errors import UserError
from lm_jax.runs.open import OpenedRun, open_run
from lm_jax.runs.results import Run
from lm_jax.tasks import Task, task_of
from lm_jax.types import Params


UserCell = str | Callable  # "my_cells.py:mgu", or the function


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedRun:
    """A run, its model, and the parameters of the model's best step.

    run: the folder as it was given. config: its settings. record: what is recorded beside them (corpus, Python).
    """

    run: str
    config: Any = dataclasses.field(repr=False)
    record: dict[str, Any] = dataclasses.field(repr=False)
    model: Any = dataclasses.field(repr=False)
    params: Params = dataclasses.field(repr=False)
    vocabulary: Any = dataclasses.field(repr=False)

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.run)

    @property
    def task(self) -> Task:
        """The task that the run trained."""
        return task_of(self.config)


RunLike = str | Path | LoadedRun | Run  # what a query takes; of a run that was just trained, its folder


def folder_of(run: Any) -> str | Path:
    """Returns the folder of a run that is not loaded; raises UserError for what is none."""
    folder = run.folder if isinstance(run, Run) else run
    if not isinstance(folder, str | Path):
        got = f"a {type(run).__name__}"
        raise UserError(f"run must be the folder of a run, or lm_jax.load of it, got {got}; models: lm_jax.inference")
    return folder


def as_opened(run: RunLike) -> OpenedRun:
    """Returns the settings and the vocabulary of a run; its model is not loaded for this.
    Raises UserError for no run."""
    if isinstance(run, LoadedRun):
        return OpenedRun(run.path, run.config, run.record, run.vocabulary)
    return open_run(folder_of(run))


def check_model_type(run: OpenedRun | LoadedRun, wanted: str = "language model") -> None:
    """Raises UserError for a run of another type of model than a question is about."""
    found = run.task.model_type
    if found != wanted:
        raise UserError(f"this question is for the run of a {wanted}, got that of a {found}: {run.path}")


def as_language_model(run: RunLike, cell: UserCell | None = None) -> LoadedRun:
    """Returns the run of a language model, as `as_loaded`; raises UserError for a run of another type of model."""
    return as_loaded(run, cell, "language model")


def as_loaded(run: RunLike, cell: UserCell | None = None, wanted: str | None = None) -> LoadedRun:
    """Returns the run with its model: the given one, or read from its folder.

    Args:
        run: The folder of a run, or a run that is loaded.
        cell: The user's own cell that the run was trained with, as a function or as "my_cells.py:mgu"; without
            effect for a run that is loaded.
        wanted: The type of model that the question is about. Default: any.

    Returns:
        The run with its model.

    Raises:
        UserError: For a folder that is no run, or has no checkpoint yet, and for another type of model.
    """
    opened = run if isinstance(run, LoadedRun) else open_run(folder_of(run))
    if wanted is not None:
        check_model_type(opened, wanted)
    if isinstance(opened, LoadedRun):
        return opened
    if cell is not None:
        opened = opened._replace(config=with_user_cell(opened.config, cell))
    model, params = opened.load()
    return LoadedRun(str(folder_of(run)), opened.config, opened.record, model, params, opened.vocabulary)
