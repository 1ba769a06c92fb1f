"""Every n-gram of back-off tables beside its suffixes: what the tables give its last word after shorter contexts."""

import functools
from typing import NamedTuple

import numpy as np

from lm_jax.models.ngram.counts import find_rows, key_parts
from lm_jax.models.ngram.tables import BackoffParams


class Suffixes(NamedTuple):
    """The tables in float64, without rows that nothing points to, and where the suffixes are.

    Of order k, N_k n-grams each: words[k - 1], log_prob[k - 1], log_backoff[k - 1] (orders below n), parents[k - 1],
    the rows of the contexts in order k - 1 (zeros for k = 1), and rows[k - 1][j - 1], the rows of the last j words in
    order j, ABSENT where they are not in the tables.
    """

    words: list
    log_prob: list
    log_backoff: list
    parents: list
    rows: list


def with_suffixes(params: BackoffParams) -> Suffixes:
    """Looks the suffixes of all n-grams up."""
    sizes = params.sizes
    words = [np.asarray(words)[:size] for words, size in zip(params.words, sizes, strict=True)]
    parents, keys, rows = [np.zeros(sizes[0], np.int64)], [], [[np.arange(sizes[0])]]
    for k, start in enumerate(params.child_start, 2):
        parent = np.repeat(np.arange(len(start) - 1), np.diff(start))[: sizes[k - 1]]
        # the suffix of j words continues the suffix of the context of j - 1 words
        shorter = [words[k - 1].astype(np.int64)]
        for j in range(2, k):
            shorter.append(find_rows(keys[j - 2], rows[k - 2][j - 2][parent], words[k - 1], sizes[0]))
        rows.append([*shorter, np.arange(sizes[k - 1])])
        parents.append(parent)
        keys.append(functools.partial(key_parts, parent, words[k - 1], sizes[0]))
    log_prob = [np.asarray(p, np.float64)[:size] for p, size in zip(params.log_prob, sizes, strict=True)]
    log_backoff = [np.asarray(b, np.float64)[:size] for b, size in zip(params.log_backoff, sizes, strict=False)]
    return Suffixes(words, log_prob, log_backoff, parents, rows)


def lower_log_probs(tables: Suffixes, k: int, retained: list[np.ndarray], log_backoff: list[np.ndarray]) -> np.ndarray:
    """Returns log P(w | h') [N_k] of the n-grams h w of order k, with only the retained n-grams in the tables.

    Args:
        tables: The tables, with the rows of every suffix.
        k: The order.
        retained: Bool [N_j] for each order j.
        log_backoff: Of the orders below k - 1; 0 for contexts that no retained n-gram continues.
    """
    result = tables.log_prob[0][tables.words[k - 1]]
    for j in range(2, k):
        row, context = tables.rows[k - 1][j - 1], tables.rows[k - 2][j - 2][tables.parents[k - 1]]
        weight = np.where(context >= 0, log_backoff[j - 2][context], 0.0)
        present = (row >= 0) & retained[j - 1][row]
        result = np.where(present, tables.log_prob[j - 1][row], result + weight)
    return result


def context_log_probs(tables: Suffixes) -> list[np.ndarray]:
    """Returns log P [N_k] of the n-grams of each order as strings:
    the product of their words' probabilities, </s> for <s>."""
    result = [tables.log_prob[0]]
    for parent, log_prob in zip(tables.parents[1:], tables.log_prob[1:], strict=True):
        result.append(result[-1][parent] + log_prob)
    return result
