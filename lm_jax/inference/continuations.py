"""How probable a continuation is after its context, and whether it is what greedy decoding gives; many at a time."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.errors import UserError
from lm_jax.models.language_model import LanguageModel
from lm_jax.types import Params


BATCH, CHUNK = 16, 64  # sequences and steps of a dispatch: one program, and at most that many rows of logits


class ContinuationScore(NamedTuple):
    """log_prob: of the continuation after its context, in nats. greedy: whether each of its tokens is the most likely
    one after those before it (of equal ones, the first)."""

    log_prob: float
    greedy: bool


def score_continuations(
    model: LanguageModel,
    params: Params,
    texts: Sequence[np.ndarray],
    context_lengths: Sequence[int],
    eol_id: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[ContinuationScore]:
    """Scores the ends of texts, each by itself, read from the end-of-line token on; no text is cut.

    Args:
        model: any language model.
        params: its parameters.
        texts: ids [N] of each context with its continuation.
        context_lengths: how many ids of each text are context, at most N.
        eol_id: the end-of-line token, which the first token is predicted from.
        progress: called with (texts done, texts in all).

    Returns:
        A score for each text; of an empty continuation 0 and True.
    """
    if len(texts) != len(context_lengths):
        raise UserError(f"every text has a context, got {len(texts)} texts and {len(context_lengths)} contexts")
    scores: list[ContinuationScore] = [ContinuationScore(0.0, True)] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # neighbours need little padding
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        found = _score_batch(model, params, [texts[i] for i in chosen], [context_lengths[i] for i in chosen], eol_id)
        for i, score in zip(chosen, found, strict=True):
            scores[i] = score
        if progress is not None:
            progress(start + len(chosen), len(order))
    return scores


def _score_batch(model, params, texts, contexts, eol_id):
    steps = max(CHUNK, -(-max(map(len, texts)) // CHUNK) * CHUNK)
    targets = np.full((steps, BATCH), eol_id, np.int32)
    mask, counted = np.zeros((2, steps, BATCH), bool)
    for row, (text, context) in enumerate(zip(texts, contexts, strict=True)):
        targets[: len(text), row] = text
        mask[: len(text), row] = True
        counted[context : len(text), row] = True
    inputs = np.concatenate([np.full((1, BATCH), eol_id, np.int32), targets[:-1]])
    carry = model.initial_carry(params, (BATCH,))
    total, greedy = np.zeros(BATCH), np.ones(BATCH, bool)
    for at in range(0, steps, CHUNK):
        part = slice(at, at + CHUNK)
        carry, log_probs, first = _compiled(model)(params, carry, inputs[part], targets[part], mask[part])
        total += np.where(counted[part], np.asarray(log_probs, np.float64), 0.0).sum(0)
        greedy &= (np.asarray(first) | ~counted[part]).all(0)
    return [ContinuationScore(float(p), bool(g)) for p, g in zip(total[: len(texts)], greedy, strict=False)]


@functools.cache
def _compiled(model):
    @jax.jit
    def score(params, carry, inputs, targets, mask):
        carry, logits = model.unroll(params, carry, inputs, mask=mask)
        chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
        return carry, chosen - jax.nn.logsumexp(logits, axis=-1), jnp.argmax(logits, axis=-1) == targets

    return score
