"""Jelinek-Mercer interpolation (Jelinek & Mercer 1980): one weight an order, by EM on held-out text.

    P_k(w | h) = lambda_k c(h w) / c(h .) + (1 - lambda_k) P_{k-1}(w | h')          P_0 = 1 / V

A context that was never seen passes everything on to the shorter one.
"""

import numpy as np

from lm_jax.errors import UserError
from lm_jax.models.ngram.counts import NGrams, rows_in_text, trie_keys
from lm_jax.models.ngram.simple import context_totals
from lm_jax.models.ngram.tables import BackoffParams, build_tables


ITERATIONS = 30
BOUNDS = (1e-6, 1 - 1e-6)


def jelinek_mercer(tables: list[NGrams], held_out: np.ndarray, eol_id: int) -> tuple[BackoffParams, list[str]]:
    """Returns the model, and a note with its weights.

    Args:
        tables: The counted n-grams of each order.
        held_out: Ids int [N], not part of what was counted.
        eol_id: The id of the end of a line.

    Raises:
        UserError: Without held-out text.
    """
    if held_out is None or len(held_out) == 0:
        raise UserError("Jelinek-Mercer needs held-out text for its weights, got none")
    weights = learn_weights(tables, held_out, eol_id)
    probs, log_backoffs = [], []
    lower = np.full(1, 1.0 / len(tables[0].words))
    for k, (table, weight) in enumerate(zip(tables, weights, strict=True), 1):
        totals = context_totals(tables, k, table.counts)
        prob = weight * table.counts / totals[table.prefix] + (1 - weight) * lower[table.suffix]
        if k > 1:
            log_backoffs.append(np.log(np.where(totals > 0, 1 - weight, 1.0)))
        probs.append(prob)
        lower = prob
    note = f"weights of orders 1 to {len(tables)}: {', '.join(f'{w:.3f}' for w in weights)}"
    return build_tables(tables, [np.log(p) for p in probs], log_backoffs), [note]


def learn_weights(tables: list[NGrams], held_out: np.ndarray, eol_id: int) -> np.ndarray:
    """lambda_1 .. lambda_n by EM: the share of held-out words that each order accounts for, of those that reach it.

    Args:
        tables: The counted n-grams of each order.
        held_out: Ids int [N], not part of what was counted.
        eol_id: The id of the end of a line.
    """
    vocab_size = len(tables[0].words)
    keys = [trie_keys(table.prefix, table.words, vocab_size) for table in tables[1:]]
    rows, contexts = rows_in_text(keys, held_out, vocab_size, eol_id)
    frequency, reaches = [], []
    for k, table in enumerate(tables, 1):
        totals = context_totals(tables, k, table.counts)
        context = np.zeros(len(held_out), np.int64) if k == 1 else contexts[k - 2]
        seen = context >= 0
        total = np.zeros(len(held_out))
        total[seen] = totals[context[seen]]
        known = rows[k - 1] >= 0
        count = np.zeros(len(held_out))
        count[known] = table.counts[rows[k - 1][known]]
        frequency.append(count / np.maximum(total, 1))
        reaches.append(total > 0)
    weights = np.full(len(tables), 0.5)
    for _ in range(ITERATIONS):
        levels = [np.full(len(held_out), 1.0 / vocab_size)]
        for f, seen, weight in zip(frequency, reaches, weights, strict=True):
            levels.append(np.where(seen, weight * f + (1 - weight) * levels[-1], levels[-1]))
        share = np.ones(len(held_out))  # how much of a word's probability comes from this order or below
        for k in reversed(range(len(tables))):
            posterior = np.where(reaches[k], share * weights[k] * frequency[k] / levels[k + 1], 0.0)
            arrived = share[reaches[k]].sum()
            weights[k] = np.clip(posterior.sum() / arrived, *BOUNDS) if arrived > 0 else weights[k]
            share = share - posterior
    return weights
