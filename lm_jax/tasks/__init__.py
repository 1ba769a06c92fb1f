"""Tasks: what can be trained, one file each. A run asks the contract in base.py and nothing else."""

from typing import Any

from lm_jax.errors import one_of
from lm_jax.tasks.attention import ATTENTION
from lm_jax.tasks.base import (
    Closing,
    Data,
    Estimate,
    Estimation,
    EvaluationRequest,
    MeasureFn,
    Pretrained,
    ProgressFn,
    SavedData,
    Task,
    TelemetryKind,
)
from lm_jax.tasks.classify import CLASSIFY
from lm_jax.tasks.ngram import NGRAM
from lm_jax.tasks.recurrent import RECURRENT
from lm_jax.tasks.tag import TAG
from lm_jax.tasks.translate import TRANSLATE
from lm_jax.tasks.window import WINDOW


TASKS: dict[str, Task] = {
    "recurrent": RECURRENT,
    "window": WINDOW,
    "attention": ATTENTION,
    "ngram": NGRAM,
    "classify": CLASSIFY,
    "tag": TAG,
    "translate": TRANSLATE,
}


def task_of(settings: Any) -> Task:
    """Returns the task that settings belong to, by the name in their `task`."""
    return one_of("task", settings.task, TASKS)


__all__ = [
    "TASKS",
    "Closing",
    "Data",
    "Estimate",
    "Estimation",
    "EvaluationRequest",
    "MeasureFn",
    "Pretrained",
    "ProgressFn",
    "SavedData",
    "Task",
    "TelemetryKind",
    "task_of",
]
