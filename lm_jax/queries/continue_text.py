"""Continuing a text with a run: by sampling, token by token as it comes, or by searching for the most probable."""

import itertools
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from lm_jax.errors import check_sizes
from lm_jax.inference.beam_search import beam_search as search_beams
from lm_jax.inference.generation import stream
from lm_jax.inference.sampling import Sampler
from lm_jax.queries.loaded_run import LoadedRun, RunLike, UserCell, as_language_model
from lm_jax.queries.token_text import Text, to_ids, to_text
from lm_jax.report.rows import Rows
from lm_jax.short_repr import shortly_shown


@shortly_shown
class Continuation(NamedTuple):
    """A text that a model added to a prompt. text: without the prompt, with the space that parts the two; tokens: its
    ids."""

    text: str
    tokens: list[int]


@shortly_shown
class Hypothesis(NamedTuple):
    """A continuation that a search found.

    text: without the prompt, with the space that parts the two. log_prob: nats. score: what hypotheses are ranked by,
    log_prob / length^length_penalty.
    """

    text: str
    log_prob: float
    score: float


def generate(
    run: RunLike,
    prompt: Text = "",
    tokens: int = 200,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    seed: int = 0,
    num_samples: int = 1,
    cell: UserCell | None = None,
) -> str | list[str]:
    """Continues a prompt with a run and returns the text, the prompt included.

    Args:
        run: The folder of a run, or a run that is loaded.
        prompt: The text to continue, or its ids; it follows an end of line.
        tokens: How many tokens to add.
        temperature: Logits are divided by it; above 0, lower is safer.
        top_k: Choose among the k most likely tokens only.
        top_p: Choose among the most likely tokens whose probabilities add up to p only.
        greedy: Always the most likely token.
        seed: Seed of the choices.
        num_samples: How many continuations.
        cell: The user's own cell that the run was trained with.

    Returns:
        The text; a list of texts where num_samples is above 1.

    Raises:
        UserError: For no run, a prompt that the vocabulary cannot encode, and numbers out of their ranges.
    """
    sampler = Sampler(greedy, temperature, top_k, top_p)
    run = as_language_model(run, cell)
    start = to_text(run.vocabulary, prompt)
    texts = [
        start + continuation.text for continuation in continue_text(run, prompt, tokens, sampler, seed, num_samples)
    ]
    return texts if num_samples > 1 else texts[0]


def continue_text(
    run: RunLike,
    prompt: Text = "",
    tokens: int = 200,
    sampler: Sampler = Sampler(),
    seed: int = 0,
    num_samples: int = 1,
    cell: UserCell | None = None,
) -> list[Continuation]:
    """Samples continuations of a prompt, as `generate` does, with the token ids beside the texts.

    Args:
        run: The folder of a run, or a run that is loaded.
        prompt: The text to continue, or its ids; it follows an end of line.
        tokens: How many tokens to add.
        sampler: How a token is chosen.
        seed: Seed of the choices.
        num_samples: How many continuations.
        cell: The user's own cell that the run was trained with.

    Returns:
        A record for each continuation.

    Raises:
        UserError: For no run, a prompt that the vocabulary cannot encode, and numbers below 1.
    """
    run = as_language_model(run, cell)
    chunks = list(_chunks(run, prompt, tokens, sampler, seed, num_samples))
    columns = np.concatenate(chunks).T.tolist()
    return Rows(Continuation(_follow(run, column, prompt), column) for column in columns)


def stream_text(
    run: RunLike,
    prompt: Text = "",
    tokens: int = 200,
    sampler: Sampler = Sampler(),
    seed: int = 0,
    cell: UserCell | None = None,
) -> Iterator[str]:
    """Yields the text of one continuation piece by piece, each as soon as it is there, after the prompt.

    Args:
        run: The folder of a run, or a run that is loaded.
        prompt: The text to continue, or its ids; it follows an end of line.
        tokens: How many tokens to add.
        sampler: How a token is chosen.
        seed: Seed of the choices.
        cell: The user's own cell that the run was trained with.

    Raises:
        UserError: For no run, a prompt that the vocabulary cannot encode, and numbers below 1.
    """
    run = as_language_model(run, cell)
    chunks = _chunks(run, prompt, tokens, sampler, seed, 1)
    ids = (int(i) for chunk in chunks for i in chunk[:, 0])
    return iter(run.vocabulary.pieces(ids, after=to_text(run.vocabulary, prompt)))


def stream_samples(
    run: RunLike,
    prompt: Text = "",
    tokens: int = 200,
    sampler: Sampler = Sampler(),
    seed: int = 0,
    num_samples: int = 1,
    cell: UserCell | None = None,
) -> Iterator[list[Continuation]]:
    """Yields the continuations of `continue_text` in pieces of at most 32 tokens, one of each sample at a time.

    Args:
        run: The folder of a run, or a run that is loaded.
        prompt: The text to continue, or its ids; it follows an end of line.
        tokens: How many tokens to add.
        sampler: How a token is chosen.
        seed: Seed of the choices.
        num_samples: How many continuations.
        cell: The user's own cell that the run was trained with.

    Raises:
        UserError: For no run, a prompt that the vocabulary cannot encode, and numbers below 1.
    """
    run = as_language_model(run, cell)
    chunks = _chunks(run, prompt, tokens, sampler, seed, num_samples)
    return _pieces(run, chunks, to_text(run.vocabulary, prompt), num_samples, tokens)


def _pieces(run, chunks, start, num_samples, tokens):
    waiting = [deque() for _ in range(num_samples)]
    spelled = [iter(run.vocabulary.pieces(_taken(ids), after=start)) for ids in waiting]
    for chunk in chunks:
        tokens -= len(chunk)
        samples = []
        for ids, pieces, column in zip(waiting, spelled, chunk.T.tolist(), strict=True):
            ids.extend(column)
            text = "".join(itertools.islice(pieces, len(column)))
            if tokens <= 0:
                text += "".join(pieces)  # what is left of a character of several bytes
            samples.append(Continuation(text, column))
        yield samples


def _taken(ids):
    """Yields ids that are put at the end of a deque between two of them, until it is empty."""
    while ids:
        yield ids.popleft()


def _follow(run, ids, prompt):
    """The text of ids that follow a prompt."""
    return "".join(run.vocabulary.pieces(ids, after=to_text(run.vocabulary, prompt)))


def _chunks(run: LoadedRun, prompt, tokens, sampler, seed, num_samples) -> Iterator[np.ndarray]:
    """Ids [at most 32, num_samples] at a time; a request that cannot be is refused here, not at the first of them."""
    check_sizes(tokens=tokens, num_samples=num_samples)
    ids = to_ids(run.vocabulary, prompt)
    return stream(
        run.model,
        run.params,
        ids,
        tokens,
        jax.random.key(seed),
        eol_id=run.vocabulary.eol_id,
        num_samples=num_samples,
        sampler=sampler,
    )


def beam_search(
    run: RunLike,
    prompt: Text = "",
    tokens: int = 200,
    beam_size: int = 5,
    length_penalty: float = 0.0,
    cell: UserCell | None = None,
) -> list[Hypothesis]:
    """Searches for the most probable continuations of the line that a prompt begins.

    Args:
        run: The folder of a run, or a run that is loaded.
        prompt: The text to continue, or its ids; it follows an end of line.
        tokens: The most tokens to add; a continuation ends at an end of line.
        beam_size: Number of hypotheses in the beam.
        length_penalty: Log-probabilities are divided by length to this power.
        cell: The user's own cell that the run was trained with.

    Returns:
        At most beam_size hypotheses, best first; none of probability 0.
    """
    run = as_language_model(run, cell)
    beams = search_beams(
        run.model,
        run.params,
        to_ids(run.vocabulary, prompt),
        tokens,
        eol_id=run.vocabulary.eol_id,
        beam_size=beam_size,
        length_penalty=length_penalty,
    )
    hypotheses = zip(beams.tokens, beams.lengths, beams.log_probs, beams.scores(length_penalty), strict=True)
    return Rows(
        Hypothesis(_follow(run, tokens[:length], prompt), float(log_prob), float(score))
        for tokens, length, log_prob, score in hypotheses
        if log_prob > -np.inf
    )
