"""A run that answers questions: `lm_jax.load(run)`."""

import dataclasses
from pathlib import Path
from typing import TypeVar

from lm_jax.queries.loaded_run import LoadedRun, UserCell, as_loaded
from lm_jax.queries.trained import TrainedLanguageModel
from lm_jax.queries.trained_classifier import TrainedClassifier
from lm_jax.queries.trained_tagger import TrainedTagger
from lm_jax.queries.trained_translator import TrainedTranslator
from lm_jax.runs.results import Run


Trained = TypeVar("Trained", bound=LoadedRun)
AnyTrained = LoadedRun | TrainedLanguageModel | TrainedClassifier | TrainedTagger | TrainedTranslator
CLASSES = {cls.model_type: cls for cls in (TrainedLanguageModel, TrainedClassifier, TrainedTagger, TrainedTranslator)}


def load(run: str | Path | Run, cell: UserCell | None = None) -> AnyTrained:
    """Loads the best step of a run, on one device, whatever it was trained on.

    Args:
        run: The folder of a run that has a checkpoint, or the run that a training has returned.
        cell: The user's own cell that the run was trained with, as a function or as "my_cells.py:mgu".

    Returns:
        The trained model, which answers questions by its methods; its class is that of the task. Of a task with a type
        of model of its own: a `LoadedRun`, its model and parameters alone.

    Raises:
        UserError: For a folder that is no run, or has no checkpoint yet.
    """
    return of_task(as_loaded(run, cell))


def of_task(loaded: LoadedRun) -> AnyTrained:
    """Returns a loaded run as the class that answers the questions of its task."""
    return _as(CLASSES.get(loaded.task.model_type, LoadedRun), loaded)


def load_as(cls: type[Trained], run: str | Path, cell: UserCell | None = None) -> Trained:
    """Loads a run of one type of model, as `load`; raises UserError for a run of another."""
    return _as(cls, as_loaded(run, cell, getattr(cls, "model_type")))  # noqa: B009 (a plain LoadedRun has none)


def _as(cls, loaded):
    return cls(**{field.name: getattr(loaded, field.name) for field in dataclasses.fields(loaded)})
