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
from lm_jax.models.ngram.tables import BackoffParams, build_tables


def parents_of(tables: list[NGrams], k: int) -> int:
    """Counts the contexts that the n-grams of order k may have:
    the rows of the order below, or one, the empty context."""
    return 1 if k == 1 else len(tables[k - 2].words)


def context_totals(tables: list[NGrams], k: int, weights: np.ndarray) -> np.ndarray:
    """Sums of weights of the n-grams of order k over each of their contexts.

    Args:
        tables: The counted n-grams of each order.
        k: The order.
        weights: A weight for each n-gram of that order, [N_k].

    Returns:
        The sums, a number for each n-gram of order k - 1; a single one for k = 1.
    """
    return np.bincount(tables[k - 1].prefix, weights=weights, minlength=parents_of(tables, k))


def maximum_likelihood(tables: list[NGrams]) -> BackoffParams:
    """Relative frequencies: perplexity is infinite as soon as an unseen n-gram of a seen context occurs."""
    return _relative_frequencies(tables, after_seen=0.0, after_unseen=1.0)


def stupid_backoff(tables: list[NGrams], factor: float = 0.4) -> BackoffParams:
    """Scores, not probabilities: good for ranking, refused for perplexity."""
    if not 0 < factor < 1:
        raise UserError(f"the factor of stupid back-off must be between 0 and 1, got {factor!r}")
    return _relative_frequencies(tables, after_seen=factor, after_unseen=factor)


def _relative_frequencies(tables, after_seen, after_unseen):
    log_probs, log_backoffs = [], []
    with np.errstate(divide="ignore"):
        for k, table in enumerate(tables, 1):
            totals = context_totals(tables, k, table.counts)
            log_probs.append(np.log(table.counts / totals[table.prefix]))
            if k > 1:
                log_backoffs.append(np.log(np.where(totals > 0, after_seen, after_unseen)))
        return build_tables(tables, log_probs, log_backoffs, log_missing=np.log(after_unseen))


def add_k(tables: list[NGrams], k: float = 1.0) -> BackoffParams:
    """Counts every n-gram k times more often than it is seen. Raises UserError unless k is above 0."""
    if not 0 < k < np.inf:
        raise UserError(f"add-k needs k above 0, got {k!r}")
    vocab_size, order = len(tables[0].words), len(tables)
    top = tables[-1]
    totals = context_totals(tables, order, top.counts)
    # below the top order there is nothing but the uniform distribution, whatever the context
    log_probs = [np.full(len(table.words), -np.log(vocab_size)) for table in tables[:-1]]
    log_backoffs = [np.zeros(len(table.words)) for table in tables[:-1]]
    log_probs.append(np.log((top.counts + k) / (totals[top.prefix] + k * vocab_size)))
    if order > 1:
        log_backoffs[-1] = np.log(k * vocab_size / (totals + k * vocab_size))
    return build_tables(tables, log_probs, log_backoffs)


def witten_bell(tables: list[NGrams]) -> BackoffParams:
    """Interpolated Witten-Bell: the more different words follow a context, the more its model is smoothed."""
    probs, log_backoffs = [], []
    lower = np.full(1, 1.0 / len(tables[0].words))
    for k, table in enumerate(tables, 1):
        totals = context_totals(tables, k, table.counts)
        different = context_totals(tables, k, table.counts > 0)
        smoothed = totals + different
        weight = np.where(totals > 0, different / np.maximum(smoothed, 1), 1.0)
        prob = table.counts / smoothed[table.prefix] + weight[table.prefix] * lower[table.suffix]
        if k > 1:
            log_backoffs.append(np.log(weight))
        probs.append(prob)
        lower = prob
    return build_tables(tables, [np.log(p) for p in probs], log_backoffs)
