"""Log-likelihood, cross-entropy and perplexity of a text under any language model.

    J = -(1/N) sum_i log P(x_i | x_0 .. x_{i-1})   in nats per token        perplexity = exp(J)

Every token of the text is predicted, the first from the end-of-line token, and every one counts once. A long text is
cut into parallel streams, each of which starts with an empty carry: the number of streams changes the result a
little, so it is part of it.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from lm_jax.data.batching import Streams, chunk, cut_streams, pack_lines, pad_streams
from lm_jax.errors import UserError, check_sizes, one_of
from lm_jax.inference.token_ids import checked_ids
from lm_jax.models.language_model import LanguageModel
from lm_jax.types import Params


CHUNK = 128
_LAID_OUT = {"stream": cut_streams, "sentence": functools.partial(pack_lines, generator=None)}


class Likelihood(NamedTuple):
    """Sum of log-probabilities in nats (float64) and the number of predicted tokens."""

    log_prob: float
    tokens: int

    @property
    def cross_entropy(self) -> float:
        """Nats per token."""
        return -self.log_prob / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(cross_entropy)."""
        return perplexity(self.cross_entropy)


def perplexity(cross_entropy: float) -> float:
    """exp(cross_entropy in nats); inf where that is too large for a float."""
    return math.exp(cross_entropy) if cross_entropy < 709 else math.inf


def likelihood(
    model: LanguageModel,
    params: Params,
    tokens: np.ndarray,
    eol_id: int,
    *,
    eval_streams: int = 10,
    mode: str = "stream",
    progress: Callable[[int, int], None] | None = None,
) -> Likelihood:
    """Computes the log-likelihood of a text.

    Args:
        model: any language model.
        params: its parameters.
        tokens: ids int [N].
        eol_id: the end-of-line token, which the first token is predicted from.
        eval_streams: parallel streams that the text is cut into.
        mode: "stream" (the carry runs on across lines) or "sentence" (it is reset at every line).
        progress: called with (chunks done, chunks in all).

    Returns:
        The sum over all tokens, and their number.
    """
    log_probs = token_log_probs(model, params, tokens, eol_id, eval_streams=eval_streams, mode=mode, progress=progress)
    return Likelihood(float(np.sum(log_probs, dtype=np.float64)), len(tokens))


def token_log_probs(
    model: LanguageModel,
    params: Params,
    tokens: np.ndarray,
    eol_id: int,
    *,
    eval_streams: int = 10,
    mode: str = "stream",
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Computes the log-probability of each token of a text.

    One stream scores every token in its full context; more streams are faster, and each starts with an empty carry.

    Args:
        model: any language model.
        params: its parameters.
        tokens: ids int [N].
        eol_id: the end-of-line token, which the first token is predicted from.
        eval_streams: parallel streams that the text is cut into.
        mode: "stream" or "sentence", as for `likelihood`.
        progress: called with (chunks done, chunks in all).

    Returns:
        Nats [N], in the order of the text.

    Raises:
        UserError: for a text without a token, ids outside the vocabulary, no stream, and an unknown mode.
    """
    check_sizes(eval_streams=eval_streams)
    lay_out = one_of("mode", mode, _LAID_OUT)
    tokens = checked_ids(tokens, model.vocab_size)
    if not len(tokens):
        raise UserError("a text must have a token to be scored, got an empty one")
    streams = lay_out(tokens, min(eval_streams, len(tokens)), eol_id)
    log_probs = score_streams(model, params, streams, eol_id, mode, progress)
    return np.concatenate([log_probs[:length, k] for k, length in enumerate(streams.lengths)])


def line_sums(values: np.ndarray, tokens: np.ndarray, eol_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums per-token values over lines.

    Args:
        values: a number for each token [N].
        tokens: ids int [N].
        eol_id: the token that ends a line.

    Returns:
        The sums in float64 and the numbers of tokens with the line's end, both [lines].
    """
    starts = np.concatenate([[0], np.flatnonzero(tokens == eol_id) + 1])
    starts = starts[starts < len(tokens)]
    lengths = np.diff(np.append(starts, len(tokens)))
    return np.add.reduceat(values.astype(np.float64), starts), lengths


def score_streams(
    model: LanguageModel,
    params: Params,
    streams: Streams,
    eol_id: int,
    mode: str = "stream",
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Returns the log-probabilities [N, B] of all targets of the streams in nats, 0 where a stream has ended.

    Args:
        model: Any language model.
        params: Its parameters.
        streams: The text in B parallel streams.
        eol_id: Id of the end-of-line token.
        mode: "stream" keeps the carry over line ends, "sentence" resets it.
        progress: Called with (chunks done, chunks in all).
    """
    steps = len(streams.tokens) - 1
    length = min(CHUNK, steps)
    chunks = math.ceil(steps / length)
    padded = pad_streams(streams, chunks * length)
    score = _jitted_score(model)
    carry = model.initial_carry(params, (streams.tokens.shape[1],))
    pieces = []
    for index in range(chunks):
        batch = chunk(padded, index * length, length, mode, eol_id)
        carry, log_probs = score(params, carry, batch.inputs, batch.targets, mask=batch.mask, reset=batch.reset)
        pieces.append(log_probs)  # stays on the device: the next chunk is dispatched before this one is fetched
        if progress is not None and index > 0:
            pieces[index - 1].block_until_ready()
            progress(index, chunks)
    return np.concatenate([np.asarray(piece) for piece in pieces])[:steps]


@functools.cache
def _jitted_score(model):
    return jax.jit(model.score)
