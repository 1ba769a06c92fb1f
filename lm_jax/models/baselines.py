"""Unigram and bigram baselines from counts: what a model has to beat on the same tokens.

    unigram   P(w) = (c(w) + 1) / (N + V)                                                   add-one (Laplace)
    bigram    P(w | v) = (c(v, w) + t(v) P(w)) / (c(v) + t(v))          t(v): distinct words seen after v
                                                                      interpolated Witten-Bell (Witten & Bell 1991)

The first word of a stream follows the end-of-line token. All cross-entropies in nats per token.
"""

import numpy as np


def unigram_cross_entropy(train: np.ndarray, test: np.ndarray, vocab_size: int) -> float:
    """Cross-entropy of `test` under the add-one unigram model of `train`; ids int [N]."""
    return float(-np.mean(np.log(_unigram(train, vocab_size)[test])))


def bigram_cross_entropy(train: np.ndarray, test: np.ndarray, vocab_size: int, eol_id: int) -> float:
    """Cross-entropy of `test` under the Witten-Bell bigram model of `train`; ids int [N]."""
    keys, counts = np.unique(_pairs(train, vocab_size, eol_id), return_counts=True)
    contexts = keys // vocab_size
    context_count = np.bincount(contexts, weights=counts, minlength=vocab_size)
    distinct = np.bincount(contexts, minlength=vocab_size).astype(np.float64)

    wanted = _pairs(test, vocab_size, eol_id)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    pair_count = np.where(keys[at] == wanted, counts[at], 0)
    v = wanted // vocab_size
    backoff = _unigram(train, vocab_size)[test]
    total = context_count[v] + distinct[v]
    seen = (pair_count + distinct[v] * backoff) / np.maximum(total, 1)
    return float(-np.mean(np.log(np.where(total > 0, seen, backoff))))


def _unigram(train, vocab_size):
    return (np.bincount(train, minlength=vocab_size) + 1.0) / (len(train) + vocab_size)


def _pairs(tokens, vocab_size, eol_id):
    before = np.concatenate([[eol_id], tokens[:-1]]).astype(np.int64)
    return before * vocab_size + tokens
