"""Checks that a run can be scored at all: it needs a text, and probabilities."""

from lm_jax.errors import UserError
from lm_jax.runs.open import OpenedRun


def check_scorable(run: OpenedRun, data: str | None) -> None:
    """Raises UserError for a run without a text where no other (`data`) is given, and for a model whose numbers do not
    sum to one: exp(J) of them is no perplexity."""
    if data is None and run.record["corpus"]["sha256"] is None:
        raise UserError(
            f"a run made from a file of weights has no text of its own: give data, got none for {run.path}", ["data"]
        )
    method = run.task.scores(run.config)
    if method is not None:
        raise UserError(
            f"perplexity needs probabilities that sum to one, got a run of {method}, which scores ({run.path})"
        )
