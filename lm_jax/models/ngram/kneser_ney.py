"""Kneser-Ney smoothing: interpolated, with one discount per order or three (modified).

With a(.) the adjusted counts (counts.continuation_counts), D the discount of a count, h' = h without its first word:

    P(w | h)  = (a(h w) - D(a(h w))) / a(h .)  +  gamma(h) P(w | h')          gamma(h) = sum_w D(a(h w)) / a(h .)
    P(w)      = (a(w) - D(a(w))) / a(.)        +  gamma / V

One discount (Kneser & Ney 1995; Ney et al. 1994):        D = n1 / (n1 + 2 n2)
Three (Chen & Goodman 1999):    D(j) = j - (j + 1) Y n_{j+1} / n_j  for j = 1, 2, 3 and more;   Y = n1 / (n1 + 2 n2)

n_j is the number of n-grams of the order whose adjusted count is j. Where a text is too small for the formula (an n_j
is zero, or a discount comes out at 0 or below, or above its count) the order uses FALLBACK instead, and a note says so.
"""

import numpy as np

from lm_jax.models.ngram.counts import NGrams, continuation_counts
from lm_jax.models.ngram.simple import context_totals
from lm_jax.models.ngram.tables import BackoffParams, build_tables


FALLBACK = (0.5, 1.0, 1.5)


def kneser_ney(tables: list[NGrams], *, modified: bool = True) -> tuple[BackoffParams, list[str]]:
    """Returns the model and the notes: what was done, for which order,
    where the text was too small for the discounts."""
    return interpolate(tables, continuation_counts(tables), modified=modified)


def absolute_discounting(tables: list[NGrams]) -> tuple[BackoffParams, list[str]]:
    """Interpolates plain counts at every order with one discount (Ney et al. 1994)."""
    return interpolate(tables, [table.counts for table in tables], modified=False)


def interpolate(tables: list[NGrams], adjusted: list[np.ndarray], *, modified: bool) -> tuple[BackoffParams, list[str]]:
    """Interpolated discounting of the given counts, from the unigrams up.

    Args:
        tables: The counted n-grams of each order.
        adjusted: Their counts as the discounting takes them, int [N_k] of each order k.
        modified: Three discounts an order, for counts 1, 2 and 3 or more; else one.

    Returns:
        The model, and notes about discounts that the counts do not give.
    """
    vocab_size = len(tables[0].words)
    lower = np.full(1, 1.0 / vocab_size)  # the distribution below the unigrams, one row: uniform
    log_probs, backoffs, notes = [], [], []  # float32 as soon as they are no longer needed in double
    for k, (table, counts) in enumerate(zip(tables, adjusted, strict=True), 1):
        discounts, note = discounts_of(counts, modified)
        if note:
            notes.append(f"order {k}: {note}")
        taken = discounts[np.minimum(counts, 3)]
        total = context_totals(tables, k, counts)
        gamma = context_totals(tables, k, taken) / np.maximum(total, 1)
        prob = counts - taken
        del taken  # these are the longest arrays of all, and are many
        prob /= total[table.prefix]
        prob += gamma[table.prefix] * lower[table.suffix]
        if k > 1:  # a context that nothing follows backs off freely
            backoffs.append(np.log(np.where(total > 0, gamma, 1.0)).astype(np.float32))
        log_probs.append(np.log(prob).astype(np.float32))
        lower = prob
    return build_tables(tables, log_probs, backoffs), notes


def discounts_of(counts: np.ndarray, modified: bool) -> tuple[np.ndarray, str | None]:
    """Discounts of the counts 0, 1, 2 and 3 or more, [4], and a note where the fallback was used."""
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(np.float64)
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
