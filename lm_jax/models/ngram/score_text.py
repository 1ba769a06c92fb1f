"""A whole text under back-off tables at once, in numpy: nothing to compile.

The same numbers as `score` of the model behind the contract; for baselines, and for long texts on a CPU.
"""

import functools
from typing import Any

import numpy as np

from lm_jax.mapped import BLOCK, release, take
from lm_jax.models.ngram.counts import ABSENT, rows_in_text, trie_keys
from lm_jax.models.ngram.tables import BackoffParams


def text_log_probs(params: BackoffParams, tokens: np.ndarray, eol_id: int, starts: Any = ()) -> np.ndarray:
    """Returns log P [N] in nats of each token of a text, float32.

    Args:
        params: The tables.
        tokens: The text, ids int [N].
        eol_id: The id of the end of a line.
        starts: Positions where the context is empty, besides those after the end of a line: where the parallel streams
            begin that other models read the text in.
    """
    vocab_size = len(params.words[0])
    keys = [functools.partial(_keys, params, k, vocab_size) for k in range(1, params.order)]
    rows, contexts = rows_in_text(keys, tokens, vocab_size, eol_id, starts)
    result = np.asarray(params.log_prob[0])[rows[0]]
    for k, (context, row) in enumerate(zip(contexts, rows[1:], strict=False), 1):
        known = take(np.asarray(params.log_backoff[k - 1]), np.maximum(context, 0))
        weight = np.where(context >= 0, known, np.where(context == ABSENT, params.log_missing, np.float32(0)))
        result = np.where(row >= 0, take(np.asarray(params.log_prob[k]), np.maximum(row, 0)), result + weight)
    return result


def _keys(params, k, vocab_size):
    """Yields trie_keys of order k + 1 in parts; without the row that nothing points to, if the order is empty."""
    start, words = np.asarray(params.child_start[k - 1]), np.asarray(params.words[k])
    for first in range(0, int(start[-1]), BLOCK):
        last = min(first + BLOCK, int(start[-1]))
        # of numbers of another type than the array's, the whole array would be converted
        begin, end = np.searchsorted(start, np.array([first, last], start.dtype), side="right")
        begin -= 1
        ends = np.clip(start[begin : end + 1], first, last)
        prefix = np.repeat(np.arange(begin, begin + len(ends) - 1), np.diff(ends))
        yield trie_keys(prefix, words[first:last], vocab_size)
        release(start, words)
