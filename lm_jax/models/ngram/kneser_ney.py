"""Kneser-Ney smoothing: interpolated, with one discount per order or three (modified).

With a(.) the adjusted counts (smoothing.continuation_counts), D the discount of a count, h' = h without its first word:

    P(w | h)  = (a(h w) - D(a(h w))) / a(h .)  +  gamma(h) P(w | h')          gamma(h) = sum_w D(a(h w)) / a(h .)
    P(w)      = (a(w) - D(a(w))) / a(.)        +  gamma / V

One discount (Kneser & Ney 1995; Ney et al. 1994):        D = n1 / (n1 + 2 n2)
Three (Chen & Goodman 1999):    D(j) = j - (j + 1) Y n_{j+1} / n_j  for j = 1, 2, 3 and more;   Y = n1 / (n1 + 2 n2)

n_j is the number of n-grams of the order whose adjusted count is j. Where a text is too small for the formula (an n_j
is zero, or a discount comes out at 0 or below, or above its count) the order uses FALLBACK instead, and a note says so.
"""

import numpy as np

from lm_jax.models.ngram.counts import NGrams
from lm_jax.models.ngram.smoothing import IN_MEMORY, Workspace, continuation_counts, histogram, smooth
from lm_jax.models.ngram.tables import BackoffParams


FALLBACK = (0.5, 1.0, 1.5)


def kneser_ney(
    tables: list[NGrams], space: Workspace = IN_MEMORY, *, modified: bool = True
) -> tuple[BackoffParams, list[str]]:
    """Returns the model and the notes: what was done, for which order,
    where the text was too small for the discounts.

    Args:
        tables: The counted n-grams of each order.
        space: Where to work.
        modified: Three discounts an order, for counts 1, 2 and 3 or more; else one.
    """
    return interpolate(tables, continuation_counts(tables, space), space, modified=modified)


def absolute_discounting(tables: list[NGrams], space: Workspace = IN_MEMORY) -> tuple[BackoffParams, list[str]]:
    """Interpolates plain counts at every order with one discount (Ney et al. 1994).

    Args:
        tables: The counted n-grams of each order.
        space: Where to work.
    """
    return interpolate(tables, [table.counts for table in tables], space, modified=False)


def interpolate(
    tables: list[NGrams], adjusted: list[np.ndarray], space: Workspace, *, modified: bool
) -> tuple[BackoffParams, list[str]]:
    """Interpolated discounting of the given counts, from the unigrams up.

    Args:
        tables: The counted n-grams of each order.
        adjusted: Their counts as the discounting takes them, int [N_k] of each order k.
        space: Where to work.
        modified: Three discounts an order, for counts 1, 2 and 3 or more; else one.

    Returns:
        The model, and notes about discounts that the counts do not give.
    """
    found = [discounts_of(counts, modified) for counts in adjusted]
    notes = [f"order {k}: {note}" for k, (_, note) in enumerate(found, 1) if note]
    return smooth(tables, [_discounting(discounts) for discounts, _ in found], space, adjusted), notes


def _discounting(discounts):
    def estimator(ngrams):
        taken = discounts[np.minimum(ngrams.counts, 3)]
        total = ngrams.totals(ngrams.counts)
        gamma = ngrams.totals(taken) / np.maximum(total, 1)
        prob = ngrams.counts - taken
        del taken  # these are the longest arrays of all, and are many
        prob /= total[ngrams.prefix]
        prob += gamma[ngrams.prefix] * ngrams.lower
        return prob, np.log(np.where(total > 0, gamma, 1.0))  # a context that nothing follows backs off freely

    return estimator


def discounts_of(counts: np.ndarray, modified: bool) -> tuple[np.ndarray, str | None]:
    """Discounts of the counts 0, 1, 2 and 3 or more, [4], and a note where the fallback was used."""
    n = histogram(counts, 5)
    used = 4 if modified else 2
    reason = next((f"no n-gram has an adjusted count of {j}" for j in range(1, used + 1) if n[j] == 0), None)
    if reason is None:
        y = n[1] / (n[1] + 2 * n[2])
        if not modified:
            return np.array([0.0, y, y, y]), None
        discounts = np.array([0.0, *(j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))])
        if (discounts[1:] > 0).all() and (discounts <= np.arange(4)).all():  # 0 would leave unseen words nothing
            return discounts, None
        reason = f"the discounts would be {', '.join(f'{d:.3f}' for d in discounts[1:])}"
    fallback = FALLBACK if modified else FALLBACK[:1] * 3
    return np.array([0.0, *fallback]), f"{reason}; discounts {', '.join(map(str, fallback))} used instead"
