"""The most likely next tokens after a prompt: predictive typing."""

from typing import NamedTuple

from lm_jax.inference import generation
from lm_jax.queries.loaded_run import RunLike, UserCell, as_language_model
from lm_jax.queries.token_text import Text, to_ids
from lm_jax.report.rows import Rows
from lm_jax.short_repr import shortly_shown


@shortly_shown
class NextToken(NamedTuple):
    """A token that may come next, as the vocabulary spells it, and its probability."""

    token: str
    probability: float


def next_tokens(run: RunLike, prompt: Text = "", k: int = 10, cell: UserCell | None = None) -> list[NextToken]:
    """Predicts the token after a prompt.

    Args:
        run: The folder of a run, or a run that is loaded.
        prompt: The text before, or its ids; it follows an end of line.
        k: How many tokens; fewer where the vocabulary is smaller.
        cell: The user's own cell that the run was trained with.

    Returns:
        The k most likely tokens, most likely first.

    Raises:
        UserError: For no run, a prompt that the vocabulary cannot encode, and a k below 1.
    """
    run = as_language_model(run, cell)
    prompt = to_ids(run.vocabulary, prompt)
    ids, probs = generation.next_tokens(run.model, run.params, prompt, k, eol_id=run.vocabulary.eol_id)
    return Rows(NextToken(run.vocabulary.tokens[i], float(p)) for i, p in zip(ids, probs, strict=True))
