"""Back-off tables: the one form of every count-based model, interpolated or backing off.

    P(w | h) = exp(log_prob[h w])                          if the n-gram h w is in the table
             = exp(log_backoff[h]) P(w | h without its first word)         otherwise

and a context h that is not in the table backs off with log_missing (0 but for stupid back-off). The tables are a trie
in arrays: the n-grams that continue row r of order k are the rows child_start[k][r] .. child_start[k][r + 1] of order
k + 1, sorted by word.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lm_jax.models.ngram.counts import NGrams, child_ranges


class BackoffParams(NamedTuple):
    """Per order (a tuple of n arrays each); everything natural logarithms. A pytree that is made without JAX.

    words: int32 [N_k], sorted within each prefix. log_prob: float [N_k]. log_backoff: float [N_k], of the n-gram as a
    context (orders below n). child_start: int32 [N_k + 1] (orders below n). log_missing: float, of absent contexts.
    """

    words: tuple
    log_prob: tuple
    log_backoff: tuple
    child_start: tuple
    log_missing: np.float32

    @property
    def order(self) -> int:
        """n: contexts have at most n - 1 words."""
        return len(self.words)

    @property
    def sizes(self) -> list[int]:
        """N-grams of each order."""
        return [len(words) for words in self.words]


def build_tables(
    ngrams: list[NGrams], log_probs: list[np.ndarray], log_backoffs: list[np.ndarray], log_missing: float = 0.0
) -> BackoffParams:
    """The tables from an estimator's numbers: log_probs of every order, log_backoffs of every order but the top.

    An order without n-grams (a text too short for it) gets one row that nothing points to, so that no array is empty.
    """
    ranges = [child_ranges(above.prefix, len(below.words)) for below, above in pairwise(ngrams)]
    return BackoffParams(
        words=tuple(_not_empty(table.words, np.int32) for table in ngrams),
        log_prob=tuple(_not_empty(p, np.float32) for p in log_probs),
        log_backoff=tuple(_not_empty(b, np.float32) for b in log_backoffs),
        child_start=tuple(r if len(r) > 1 else np.zeros(2, np.int32) for r in ranges),
        log_missing=np.float32(log_missing),
    )


def _not_empty(values, dtype):
    return np.asarray(values, dtype) if len(values) else np.zeros(1, dtype)
