"""Katz back-off with Good-Turing discounts (Katz 1987; Chen & Goodman 1999, section 2.5).

    P(w | h) = d_r c(h w) / c(h .)   if r = c(h w) > 0            P(w | h) = alpha(h) P(w | h')   otherwise

    d_r = (r*/r - A) / (1 - A) for r = 1 .. 5, else 1;    r* = (r + 1) n_{r+1} / n_r;    A = 6 n_6 / n_1

alpha(h) hands the mass that the discounts leave to the unseen words. n_r: n-grams of the order seen r times. Where the
counts of counts give no discount between 0 and 1 (small texts), all d_r of the order are 1 - n_1/(n_1 + 2 n_2) of a
count off, as in absolute discounting; where a context leaves no mass although it has unseen words, it is as if it had
been seen once more. Unigrams: what the discounts leave goes to unseen vocabulary entries, in equal parts.
"""

from collections.abc import Callable

import numpy as np

from lm_jax.models.ngram.counts import NGrams
from lm_jax.models.ngram.smoothing import IN_MEMORY, Workspace, histogram, smooth
from lm_jax.models.ngram.tables import BackoffParams


LARGEST = 5  # counts above it are believed


def katz(tables: list[NGrams], space: Workspace = IN_MEMORY) -> tuple[BackoffParams, list[str]]:
    """Returns the model, and a note for each order whose text was too small for Good-Turing discounts.

    Args:
        tables: The counted n-grams of each order.
        space: Where to work.
    """
    found = [discounting(table.counts) for table in tables]
    (first, _), *others = found
    estimators = [_unigrams(first), *(_backing_off(discount, len(tables[0].words)) for discount, _ in others)]
    notes = [f"order {k}: {note}" for k, (_, note) in enumerate(found, 1) if note]
    return smooth(tables, estimators, space), notes


def _backing_off(discount, vocab_size):
    def estimator(ngrams):
        totals, prefix = ngrams.totals(ngrams.counts), ngrams.prefix
        prob = discount(ngrams.counts) / totals[prefix]
        mass = 1.0 - ngrams.totals(prob)
        lower_seen = ngrams.totals(ngrams.lower)
        complete = ngrams.totals(np.ones(len(prob))) >= vocab_size
        exhausted = (totals > 0) & ~complete & (mass < 1e-9)
        scale = np.where(exhausted, totals / (totals + 1), 1.0)
        scale = np.where(complete, 1 / np.maximum(1 - mass, 1e-300), scale)  # no unseen word: nothing to hand on
        prob = prob * scale[prefix]
        mass = np.where(totals > 0, 1.0 - ngrams.totals(prob), 1.0)
        alpha = np.where(complete, 1.0, mass / np.maximum(1.0 - lower_seen, 1e-300))
        return prob, np.log(np.where(totals > 0, alpha, 1.0))

    return estimator


def discounting(counts: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], str | None]:
    """Returns the function that makes d_r r of every count r, and a note where Good-Turing could not be used."""
    n = histogram(counts, LARGEST + 2)
    r = np.arange(1, LARGEST + 1)
    if (n[1 : LARGEST + 2] > 0).all():
        a = (LARGEST + 1) * n[LARGEST + 1] / n[1]
        stars = (r + 1) * n[r + 1] / n[r]
        d = (stars / r - a) / (1 - a) if a < 1 else np.zeros(LARGEST)
        if ((d > 0) & (d <= 1)).all():
            factor = np.concatenate([[0.0], d, [1.0]])
            return lambda counts: counts * factor[np.minimum(counts, LARGEST + 1)], None
    off = n[1] / (n[1] + 2 * n[2]) if n[1] and n[2] else 0.5
    note = f"too few counts for Good-Turing; {off:.3f} taken off every count instead"
    return lambda counts: np.maximum(counts - off, 0.0), note


def _unigrams(discount):
    def estimator(ngrams):
        counts, discounted = ngrams.counts, discount(ngrams.counts)
        unseen = counts == 0
        total = counts.sum()
        if not unseen.any():
            return discounted / discounted.sum(), np.zeros(1)
        mass = max(1 - discounted.sum() / total, 1 / (total + 1))
        return np.where(unseen, mass / unseen.sum(), discounted / discounted.sum() * (1 - mass)), np.zeros(1)

    return estimator
