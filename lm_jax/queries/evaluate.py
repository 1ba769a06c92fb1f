"""Scoring data with a finished run, whatever task it trained."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

from lm_jax.data.texts import check_split
from lm_jax.errors import UserError
from lm_jax.queries.loaded_run import RunLike, UserCell, as_loaded, as_opened, check_model_type
from lm_jax.queries.scorable import check_scorable
from lm_jax.tasks import EvaluationRequest
from lm_jax.tasks.language_model import Evaluation


def evaluate(
    run: RunLike,
    data: str | None = None,
    split: str = "test",
    *,
    eval_streams: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    cell: UserCell | None = None,
) -> Any:
    """Scores one split of the data with the best step of a run; every token counts, the first and the last included.

    Args:
        run: The folder of a run, or a run that is loaded.
        data: Data as the run's own settings name them. Default: the run's own.
        split: "train", "valid", "test" or "all".
        eval_streams: Parallel streams that a text is cut into. Default: the run's setting.
        progress: Called with (chunks done, chunks in all).
        cell: The user's own cell that the run was trained with.

    Returns:
        The scores, a record of the task's: of a language model an `Evaluation`. A text of bytes has a byte for a
        character.

    Raises:
        UserError: For no run, an unknown split, a text with tokens that the vocabulary lacks, and a model whose numbers
            are no probabilities.
    """
    check_split(split)
    if data is not None and not isinstance(data, str | os.PathLike):
        raise UserError(f"data must be the name of a file or folder, got {type(data).__name__} {data!r}", ["data"])
    check_scorable(as_opened(run), data)
    loaded = as_loaded(run, cell)
    settings = loaded.config
    if eval_streams is not None:
        check_model_type(loaded)
        settings = dataclasses.replace(settings, eval_streams=eval_streams)
    request = EvaluationRequest(data, split, progress)
    return loaded.task.evaluate(settings, loaded.vocabulary, loaded.model, loaded.params, request)


__all__ = ["Evaluation", "evaluate"]
