"""Jelinek-Mercer interpolation (Jelinek & Mercer 1980): one weight an order, by EM on held-out text.

    P_k(w | h) = lambda_k c(h w) / c(h .) + (1 - lambda_k) P_{k-1}(w | h')          P_0 = 1 / V

A context that was never seen passes everything on to the shorter one.
"""

import functools

import numpy as np

from lm_jax.errors import UserError
from lm_jax.mapped import release, take
from lm_jax.models.ngram.counts import NGrams, key_parts, rows_in_text
from lm_jax.models.ngram.smoothing import BYTES_A_ROW, IN_MEMORY, Workspace, context_parts, smooth
from lm_jax.models.ngram.tables import BackoffParams


ITERATIONS = 30
BYTES_A_TOKEN = 64  # that a held-out token takes for each order
BOUNDS = (1e-6, 1 - 1e-6)


def jelinek_mercer(
    tables: list[NGrams], held_out: np.ndarray, eol_id: int, space: Workspace = IN_MEMORY
) -> tuple[BackoffParams, list[str]]:
    """Returns the model, and a note with its weights.

    Args:
        tables: The counted n-grams of each order.
        held_out: Ids int [N], not part of what was counted; in a bounded workspace the first that it has room for.
        eol_id: The id of the end of a line.
        space: Where to work.

    Raises:
        UserError: Without held-out text.
    """
    if held_out is None or len(held_out) == 0:
        raise UserError("Jelinek-Mercer needs held-out text for its weights, got none")
    used = held_out[: space.rows(BYTES_A_TOKEN * len(tables))]
    weights = learn_weights(tables, used, eol_id, space)
    note = f"weights of orders 1 to {len(tables)}: {', '.join(f'{w:.3f}' for w in weights)}"
    if len(used) < len(held_out):
        note += f"; learnt from the first {len(used):,} of {len(held_out):,} held-out tokens"
    return smooth(tables, [_weighted(weight) for weight in weights], space), [note]


def _weighted(weight):
    def estimator(ngrams):
        totals = ngrams.totals(ngrams.counts)
        prob = weight * ngrams.counts / totals[ngrams.prefix] + (1 - weight) * ngrams.lower
        return prob, np.log(np.where(totals > 0, 1 - weight, 1.0))

    return estimator


def learn_weights(tables: list[NGrams], held_out: np.ndarray, eol_id: int, space: Workspace = IN_MEMORY) -> np.ndarray:
    """lambda_1 .. lambda_n by EM: the share of held-out words that each order accounts for, of those that reach it.

    Args:
        tables: The counted n-grams of each order.
        held_out: Ids int [N], not part of what was counted.
        eol_id: The id of the end of a line.
        space: Where to work.
    """
    vocab_size = len(tables[0].words)
    keys = [functools.partial(key_parts, table.prefix, table.words, vocab_size) for table in tables[1:]]
    rows, contexts = rows_in_text(keys, held_out, vocab_size, eol_id)
    frequency, reaches = [], []
    for k, table in enumerate(tables, 1):
        context = np.zeros(len(held_out), np.int64) if k == 1 else contexts[k - 2]
        total = _totals_at(context, table, 1 if k == 1 else len(tables[k - 2].words), space)
        known = rows[k - 1] >= 0
        count = np.zeros(len(held_out))
        count[known] = take(table.counts, rows[k - 1][known])
        frequency.append(count / np.maximum(total, 1))
        reaches.append(total > 0)
    return _fit(frequency, reaches, vocab_size)


def _totals_at(contexts, table, number, space):
    """c(h .) of the contexts, float64 [N]; 0 of those that are not in the tables."""
    totals = np.zeros(len(contexts))
    for rows, some in context_parts(table.prefix, number, space.rows(BYTES_A_ROW)):
        here = np.flatnonzero((contexts >= some.start) & (contexts < some.stop))
        if len(here):
            prefix = table.prefix[rows] - np.int32(some.start)
            sums = np.bincount(prefix, weights=table.counts[rows], minlength=some.stop - some.start)
            totals[here] = sums[contexts[here] - some.start]
        release(table.prefix, table.counts)
    return totals


def _fit(frequency, reaches, vocab_size):
    length = len(frequency[0])
    weights = np.full(len(frequency), 0.5)
    for _ in range(ITERATIONS):
        levels = [np.full(length, 1.0 / vocab_size)]
        for f, seen, weight in zip(frequency, reaches, weights, strict=True):
            levels.append(np.where(seen, weight * f + (1 - weight) * levels[-1], levels[-1]))
        share = np.ones(length)  # how much of a word's probability comes from this order or below
        for k in reversed(range(len(weights))):
            posterior = np.where(reaches[k], share * weights[k] * frequency[k] / levels[k + 1], 0.0)
            arrived = share[reaches[k]].sum()
            weights[k] = np.clip(posterior.sum() / arrived, *BOUNDS) if arrived > 0 else weights[k]
            share = share - posterior
    return weights
