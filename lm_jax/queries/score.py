"""The log-probability of every line, or of every token, of a text under a run; nats."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lm_jax.errors import UserError
from lm_jax.inference.likelihood import line_sums, token_log_probs
from lm_jax.queries.loaded_run import LoadedRun, RunLike, UserCell, as_language_model
from lm_jax.queries.token_text import Text, to_ids
from lm_jax.report.rows import Rows
from lm_jax.short_repr import shortly_shown


STREAMS_ALONE = 32  # lines scored at a time when each is scored by itself


@shortly_shown
class LineScore(NamedTuple):
    """A line under a model. log_prob: of the line with its end. tokens: with its end; unknown: those that are <unk>."""

    log_prob: float
    tokens: int
    unknown: int
    text: str


@shortly_shown
class TokenScore(NamedTuple):
    """A token under a model, as the vocabulary spells it."""

    log_prob: float
    token: str


def score(
    run: RunLike,
    text: Text,
    *,
    alone: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cell: UserCell | None = None,
) -> list[LineScore]:
    """Scores every line of a text.

    Args:
        run: The folder of a run, or a run that is loaded.
        text: The text, or its ids.
        alone: Score each line by itself; by default it is scored in the context of all the lines before it.
        progress: Called with (chunks done, chunks in all).
        cell: The user's own cell that the run was trained with.

    Returns:
        A record for each line, in the order of the text.

    Raises:
        UserError: For no run, and a text that the vocabulary cannot encode.
    """
    run = as_language_model(run, cell)
    tokens, log_probs = _log_probs(run, text, alone, progress)
    if not len(tokens):
        return Rows()
    vocabulary = run.vocabulary
    sums, lengths = line_sums(log_probs, tokens, vocabulary.eol_id)
    lines = np.split(tokens, np.cumsum(lengths)[:-1])
    return Rows(
        LineScore(
            float(total),
            len(line),
            0 if vocabulary.unk_id is None else int((line == vocabulary.unk_id).sum()),
            vocabulary.decode(line).removesuffix("\n"),
        )
        for total, line in zip(sums, lines, strict=True)
    )


def score_tokens(
    run: RunLike,
    text: Text,
    *,
    alone: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cell: UserCell | None = None,
) -> list[TokenScore]:
    """Scores every token of a text.

    Args:
        run: The folder of a run, or a run that is loaded.
        text: The text, or its ids.
        alone: Score each line by itself; by default it is scored in the context of all the lines before it.
        progress: Called with (chunks done, chunks in all).
        cell: The user's own cell that the run was trained with.

    Returns:
        A record for each token, in the order of the text: its log-probability in nats.

    Raises:
        UserError: For no run, and a text that the vocabulary cannot encode.
    """
    run = as_language_model(run, cell)
    tokens, log_probs = _log_probs(run, text, alone, progress)
    return Rows(TokenScore(float(p), run.vocabulary.tokens[token]) for token, p in zip(tokens, log_probs, strict=True))


def _log_probs(run: LoadedRun, text, alone, progress) -> tuple[np.ndarray, np.ndarray]:
    tokens = to_ids(run.vocabulary, text)
    if not len(tokens):
        return tokens, np.zeros(0)
    log_probs = token_log_probs(
        run.model,
        run.params,
        tokens,
        run.vocabulary.eol_id,
        eval_streams=STREAMS_ALONE if alone else 1,
        mode="sentence" if alone else "stream",
        progress=progress,
    )
    if np.isnan(log_probs).any():
        raise UserError(f"log-probabilities must be numbers, got nan from {run.run}")
    return tokens, log_probs
