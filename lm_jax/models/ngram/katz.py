"""Katz back-off with Good-Turing discounts (Katz 1987; Chen & Goodman 1999, section 2.5).

    P(w | h) = d_r c(h w) / c(h .)   if r = c(h w) > 0            P(w | h) = alpha(h) P(w | h')   otherwise

    d_r = (r*/r - A) / (1 - A) for r = 1 .. 5, else 1;    r* = (r + 1) n_{r+1} / n_r;    A = 6 n_6 / n_1

alpha(h) hands the mass that the discounts leave to the unseen words. n_r: n-grams of the order seen r times. Where the
counts of counts give no discount between 0 and 1 (small texts), all d_r of the order are 1 - n_1/(n_1 + 2 n_2) of a
count off, as in absolute discounting; where a context leaves no mass although it has unseen words, it is as if it had
been seen once more. Unigrams: what the discounts leave goes to unseen vocabulary entries, in equal parts.
"""

import numpy as np

from lm_jax.models.ngram.counts import NGrams
from lm_jax.models.ngram.simple import context_totals
from lm_jax.models.ngram.tables import BackoffParams, build_tables


LARGEST = 5  # counts above it are believed


def katz(tables: list[NGrams]) -> tuple[BackoffParams, list[str]]:
    """Returns the model, and a note for each order whose text was too small for Good-Turing discounts."""
    vocab_size = len(tables[0].words)
    probs, log_backoffs, notes = [], [], []
    for k, table in enumerate(tables, 1):
        discounted, note = discounted_counts(table.counts)
        if note:
            notes.append(f"order {k}: {note}")
        if k == 1:
            probs.append(_unigrams(table.counts, discounted))
            continue
        totals = context_totals(tables, k, table.counts)
        prob = discounted / totals[table.prefix]
        mass = 1.0 - context_totals(tables, k, prob)
        lower_seen = context_totals(tables, k, probs[-1][table.suffix])
        complete = context_totals(tables, k, np.ones(len(prob))) >= vocab_size
        exhausted = (totals > 0) & ~complete & (mass < 1e-9)
        scale = np.where(exhausted, totals / (totals + 1), 1.0)
        scale = np.where(complete, 1 / np.maximum(1 - mass, 1e-300), scale)  # no unseen word: nothing to hand on
        prob = prob * scale[table.prefix]
        mass = np.where(totals > 0, 1.0 - context_totals(tables, k, prob), 1.0)
        alpha = np.where(complete, 1.0, mass / np.maximum(1.0 - lower_seen, 1e-300))
        log_backoffs.append(np.log(np.where(totals > 0, alpha, 1.0)))
        probs.append(prob)
    return build_tables(tables, [np.log(p) for p in probs], log_backoffs), notes


def discounted_counts(counts: np.ndarray) -> tuple[np.ndarray, str | None]:
    """d_r r for every count r, and a note where Good-Turing could not be used."""
    n = np.bincount(np.minimum(counts, LARGEST + 2), minlength=LARGEST + 3).astype(np.float64)
    r = np.arange(1, LARGEST + 1)
    if (n[1 : LARGEST + 2] > 0).all():
        a = (LARGEST + 1) * n[LARGEST + 1] / n[1]
        stars = (r + 1) * n[r + 1] / n[r]
        d = (stars / r - a) / (1 - a) if a < 1 else np.zeros(LARGEST)
        if ((d > 0) & (d <= 1)).all():
            factor = np.concatenate([[0.0], d, [1.0]])
            return counts * factor[np.minimum(counts, LARGEST + 1)], None
    off = n[1] / (n[1] + 2 * n[2]) if n[1] and n[2] else 0.5
    note = f"too few counts for Good-Turing; {off:.3f} taken off every count instead"
    return np.maximum(counts - off, 0.0), note


def _unigrams(counts, discounted):
    unseen = counts == 0
    total = counts.sum()
    if not unseen.any():
        return discounted / discounted.sum()
    mass = max(1 - discounted.sum() / total, 1 / (total + 1))
    return np.where(unseen, mass / unseen.sum(), discounted / discounted.sum() * (1 - mass))
