"""Back-off tables: the one form of every count-based model, interpolated or backing off.

    P(w | h) = exp(log_prob[h w])                          if the n-gram h w is in the table
             = exp(log_backoff[h]) P(w | h without its first word)         otherwise

and a context h that is not in the table backs off with log_missing (0 but for stupid back-off). The tables are a trie
in arrays: the n-grams that continue row r of order k are the rows child_start[k][r] .. child_start[k][r + 1] of order
k + 1, sorted by word.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from lm_jax.models.ngram.counts import NGrams, child_ranges
from lm_jax.short_repr import shortly_shown


@shortly_shown
class BackoffParams(NamedTuple):
    """Per order (a tuple of n arrays each); everything natural logarithms. A pytree that is made without JAX.

    words: int32 [N_k], sorted within each prefix. log_prob: float [N_k]. log_backoff: float [N_k], of the n-gram as a
    context (orders below n). child_start: int32 [N_k + 1] (orders below n). log_missing: float, of absent contexts.
    """

    words: tuple
    log_prob: tuple
    log_backoff: tuple
    child_start: tuple
    log_missing: Any  # a float32 number of NumPy, or an array without axes on a device

    @property
    def order(self) -> int:
        """n: contexts have at most n - 1 words."""
        return len(self.words)

    @property
    def sizes(self) -> list[int]:
        """N-grams of each order; the row that nothing points to, in an order without n-grams, is none."""
        return [len(self.words[0]), *(int(start[-1]) for start in self.child_start)]


def ngram_sizes(params: object) -> list[int] | None:
    """N-grams of each order; None for parameters that are no tables of n-grams."""
    return params.sizes if isinstance(params, BackoffParams) else None


def build_tables(
    ngrams: list[NGrams], log_probs: list[np.ndarray], log_backoffs: list[np.ndarray], log_missing: float = 0.0
) -> BackoffParams:
    """Returns the tables from an estimator's numbers.

    An order without n-grams (a text too short for it) gets one row that nothing points to, so that no array is empty. A
    probability that rounding has put above 1 is 1.

    Args:
        ngrams: The n-grams of each order.
        log_probs: Of every order, in nats.
        log_backoffs: Of every order but the top.
        log_missing: The weight after a context that is in no table.
    """
    ranges = [child_ranges(above.prefix, len(below.words)) for below, above in pairwise(ngrams)]
    bounded = [np.where(p > 0, 0.0, p) for p in log_probs]
    return assembled([table.words for table in ngrams], bounded, log_backoffs, ranges, log_missing)


def assembled(
    words: Sequence[np.ndarray],
    log_probs: Sequence[np.ndarray],
    log_backoffs: Sequence[np.ndarray],
    child_starts: Sequence[np.ndarray],
    log_missing: float = 0.0,
) -> BackoffParams:
    """Returns the tables from their columns, in an order without n-grams one row that nothing points to.

    Args:
        words: Of each order, the last words.
        log_probs: Of each order, in nats, none above 0.
        log_backoffs: Of every order but the top.
        child_starts: Of every order but the top, where the n-grams that continue each row begin, and the end.
        log_missing: The weight after a context that is in no table.
    """
    return BackoffParams(
        words=tuple(_not_empty(column, np.int32) for column in words),
        log_prob=tuple(_not_empty(column, np.float32) for column in log_probs),
        log_backoff=tuple(_not_empty(column, np.float32) for column in log_backoffs),
        child_start=tuple(column if len(column) > 1 else np.zeros(2, np.int32) for column in child_starts),
        log_missing=np.float32(log_missing),
    )


def not_a_distribution(params: BackoffParams) -> str | None:
    """Says why tables do not hold a probability for every word after every context, in a few words; None if they do.

    That they sum to one is not checked.
    """
    if params.log_missing != 0:
        return f"a context that was never seen backs off with weight {np.exp(params.log_missing):.3g}, not 1"
    for k, size in enumerate(params.sizes, 1):
        log_prob = np.asarray(params.log_prob[k - 1])[:size]
        if not (log_prob <= 0).all():
            return f"there is a probability above 1 among the {k}-grams"
        if not (log_prob > -np.inf).all():
            return f"there is a probability of 0 among the {k}-grams"
    for k, log_backoff in enumerate(params.log_backoff, 1):
        if not np.isfinite(np.asarray(log_backoff)[: params.sizes[k - 1]]).all():
            return f"there is a back-off weight of 0, or that is no number, among the {k}-grams"
    return None


def _not_empty(values, dtype):
    return np.asarray(values, dtype) if len(values) else np.zeros(1, dtype)
