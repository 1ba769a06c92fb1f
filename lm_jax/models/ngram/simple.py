"""The estimators of the first lecture: relative frequencies, add-k, stupid back-off, and Witten-Bell.

With c(.) occurrences, h' = h without its first word, T(h) the number of different words that follow h:

    maximum likelihood   P(w | h) = c(h w) / c(h .)         an unseen context uses the next shorter one that was seen;
                                                            after a seen one an unseen word has probability 0
    add-k                P(w | h) = (c(h w) + k) / (c(h .) + k V)                            (Lidstone; k = 1: Laplace)
    stupid back-off      S(w | h) = c(h w) / c(h .) if seen, else 0.4 S(w | h')     a score: it does not sum to one
    Witten-Bell          P(w | h) = (c(h w) + T(h) P(w | h')) / (c(h .) + T(h))      interpolated; below: uniform

(Brants et al. 2007 for stupid back-off; Witten & Bell 1991.)
"""

import numpy as np

from lm_jax.errors import UserError
from lm_jax.models.ngram.counts import NGrams
from lm_jax.models.ngram.smoothing import IN_MEMORY, Workspace, smooth
from lm_jax.models.ngram.tables import BackoffParams


def maximum_likelihood(tables: list[NGrams], space: Workspace = IN_MEMORY) -> BackoffParams:
    """Relative frequencies: perplexity is infinite as soon as an unseen n-gram of a seen context occurs.

    Args:
        tables: The counted n-grams of each order.
        space: Where to work.
    """
    return _relative_frequencies(tables, space, after_seen=0.0, after_unseen=1.0)


def stupid_backoff(tables: list[NGrams], space: Workspace = IN_MEMORY, *, factor: float = 0.4) -> BackoffParams:
    """Scores, not probabilities: good for ranking, refused for perplexity.

    Args:
        tables: The counted n-grams of each order.
        space: Where to work.
        factor: What the score of a shorter context is multiplied by.
    """
    if not 0 < factor < 1:
        raise UserError(f"the factor of stupid back-off must be between 0 and 1, got {factor!r}")
    return _relative_frequencies(tables, space, after_seen=factor, after_unseen=factor)


def _relative_frequencies(tables, space, after_seen, after_unseen):
    def estimator(ngrams):
        totals = ngrams.totals(ngrams.counts)
        return ngrams.counts / totals[ngrams.prefix], np.log(np.where(totals > 0, after_seen, after_unseen))

    with np.errstate(divide="ignore"):
        return smooth(tables, [estimator] * len(tables), space, log_missing=np.log(after_unseen))


def add_k(tables: list[NGrams], space: Workspace = IN_MEMORY, *, k: float = 1.0) -> BackoffParams:
    """Counts every n-gram k times more often than it is seen.

    Args:
        tables: The counted n-grams of each order.
        space: Where to work.
        k: Above 0.

    Raises:
        UserError: Unless k is above 0.
    """
    if not 0 < k < np.inf:
        raise UserError(f"add-k needs k above 0, got {k!r}")
    vocab_size = len(tables[0].words)

    def uniform(ngrams):  # below the top order there is nothing else, whatever the context
        return np.full(len(ngrams.counts), 1.0 / vocab_size), np.zeros(ngrams.contexts)

    def top(ngrams):
        totals = ngrams.totals(ngrams.counts)
        prob = (ngrams.counts + k) / (totals[ngrams.prefix] + k * vocab_size)
        return prob, np.log(k * vocab_size / (totals + k * vocab_size))

    return smooth(tables, [*[uniform] * (len(tables) - 1), top], space)


def witten_bell(tables: list[NGrams], space: Workspace = IN_MEMORY) -> BackoffParams:
    """Interpolated Witten-Bell: the more different words follow a context, the more its model is smoothed.

    Args:
        tables: The counted n-grams of each order.
        space: Where to work.
    """

    def estimator(ngrams):
        totals, different = ngrams.totals(ngrams.counts), ngrams.totals(ngrams.counts > 0)
        smoothed = totals + different
        weight = np.where(totals > 0, different / np.maximum(smoothed, 1), 1.0)
        prob = ngrams.counts / smoothed[ngrams.prefix] + weight[ngrams.prefix] * ngrams.lower
        return prob, np.log(weight)

    return smooth(tables, [estimator] * len(tables), space)
