"""Counting n-grams by sorting: every order as sorted integer arrays, no loop over n-grams.

A line w_1 .. w_m with its end </s> is read as <s> w_1 .. w_m </s>; contexts do not cross lines. The end-of-line token
plays both parts, which never meet: as a word it is </s>, as the first word of a context it is <s>.

The k-grams of a text are the rows of a table, sorted by (prefix, last word). A prefix is named by its row in the table
of the (k-1)-grams, so that a k-gram is one integer, prefix * V + word, and its children - the (k+1)-grams that
continue it - are one range of rows: a trie in arrays.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lm_jax.errors import UserError, check_sizes
from lm_jax.mapped import blocks
from lm_jax.short_repr import shortly_shown


ABSENT, BEFORE = -1, -2  # instead of a row: not in the tables; the line is not that long

KeyParts = Callable[[], Iterator[np.ndarray]]


@shortly_shown
class NGrams(NamedTuple):
    """The N k-grams of a text, sorted by (prefix, word); at order 1 the V vocabulary entries by id.

    words [N]: the last word. prefix, suffix [N]: rows of the first and the last k - 1 words in the table below.
    counts [N]: occurrences. starts [N]: whether the first word is <s>.
    """

    words: np.ndarray
    prefix: np.ndarray
    suffix: np.ndarray
    counts: np.ndarray
    starts: np.ndarray


def count_ngrams(tokens: np.ndarray, order: int, vocab_size: int, eol_id: int) -> list[NGrams]:
    """Counts the n-grams of orders 1 .. order of a text.

    Time and memory are those of sorting N integers for each order.

    Args:
        tokens: The text, ids int [N].
        order: The largest n.
        vocab_size: Ids are below it.
        eol_id: The id of the end of a line, after which contexts are empty.

    Returns:
        The tables of each order, in the order of their keys.

    Raises:
        UserError: For an order below 1, and for an empty text.
    """
    check_sizes(order=order, vocab_size=vocab_size)
    if len(tokens) == 0:
        raise UserError("a text must hold at least one token to be counted, got none")
    words = np.asarray(tokens, np.int32)
    previous = np.concatenate([[eol_id], words[:-1]]).astype(np.int32)  # the row of the context before each word
    since_start = _since_start(previous == eol_id)
    tables, rows = [unigram_table(np.bincount(words, minlength=vocab_size))], words
    for k in range(2, order + 1):
        # a k-gram that ends at i starts at the earliest with the <s> of its line
        at = np.flatnonzero(since_start >= k - 2) if k > 2 else slice(None)
        keys = trie_keys(previous[at], words[at], vocab_size)
        keys, counts, example, rank = group(keys, len(tables[-1].words) * vocab_size)
        ends = at[example] if isinstance(at, np.ndarray) else example
        tables.append(
            NGrams(
                words=(keys % vocab_size).astype(np.int32),
                prefix=(keys // vocab_size).astype(np.int32),
                suffix=rows[ends],
                counts=counts,
                starts=since_start[ends] == k - 2,
            )
        )
        if k < order:
            rows = np.full(len(words), -1, np.int32)
            rows[at] = rank
            previous[1:] = rows[:-1]
            previous[0] = -1
    return tables


def unigram_table(counts: np.ndarray) -> NGrams:
    """Counts the vocabulary entries [V]."""
    nothing = np.zeros(len(counts), np.int32)
    return NGrams(np.arange(len(counts), dtype=np.int32), nothing, nothing, counts, np.zeros(len(counts), bool))


def group(keys: np.ndarray, bound: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Groups equal keys as np.unique does, several times faster: the different keys in order, how often each
    occurs, a position of each, and for every position the rank of its key. keys: int64 [N], each below `bound`.

    A key and its position share one integer where 63 bits hold both: values are sorted faster than positions.
    """
    bits = max(len(keys) - 1, 1).bit_length()
    if bound <= 1 << (63 - bits):
        ordered = keys << bits
        ordered |= np.arange(len(keys))
        ordered.sort()
        positions = (ordered & ((1 << bits) - 1)).astype(np.int32 if bits < 32 else np.int64)
        ordered >>= bits
    else:
        positions = np.argsort(keys)
        ordered = keys[positions]
    is_new = np.ones(len(keys), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    first = np.flatnonzero(is_new)
    different, example, counts = ordered[first], positions[first], np.diff(np.append(first, len(keys)))
    del ordered, first
    rank = np.empty(len(keys), positions.dtype)
    rank[positions] = np.cumsum(is_new, dtype=positions.dtype) - 1
    return different, counts, example, rank


def _since_start(is_start):
    """Returns for each position how far it is from the first word of its line, int32."""
    positions = np.arange(len(is_start), dtype=np.int32)
    return positions - np.maximum.accumulate(np.where(is_start, positions, 0))


def child_ranges(prefix: np.ndarray, parents: int) -> np.ndarray:
    """Returns int32 [parents + 1]: the rows with prefix p are those from ranges[p] to ranges[p + 1]."""
    return np.searchsorted(prefix, np.arange(parents + 1)).astype(np.int32)


def trie_keys(prefix: np.ndarray, words: np.ndarray, vocab_size: int) -> np.ndarray:
    """Returns int64 [N]: an n-gram as one integer; ascending, as the tables are sorted.

    Args:
        prefix: The row of each n-gram's context in the table of the order below, int [N].
        words: Its last word, int [N].
        vocab_size: Words are below it.
    """
    keys = prefix.astype(np.int64)
    keys *= vocab_size
    keys += words
    return keys


def key_parts(prefix: np.ndarray, words: np.ndarray, vocab_size: int) -> Iterator[np.ndarray]:
    """Yields the `trie_keys` of a table in parts, one after another.

    Args:
        prefix: The row of each n-gram's context in the table of the order below, int [N].
        words: Its last word, int [N].
        vocab_size: Words are below it.
    """
    for some, last in zip(blocks(prefix), blocks(words), strict=True):
        yield trie_keys(some, last, vocab_size)


def rows_in_text(
    keys: Sequence[KeyParts], tokens: np.ndarray, vocab_size: int, eol_id: int, starts: Sequence[int] = ()
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Finds the rows of a text's n-grams in tables of n-grams.

    Args:
        keys: Of orders 2 .. n: what yields the sorted `trie_keys` of the table in parts.
        tokens: The text, ids int [N].
        vocab_size: Ids are below it.
        eol_id: The id of the end of a line.
        starts: Positions where the context is empty, besides those after the end of a line.

    Returns:
        For each order the rows of the n-grams that end with each token, and for each order but the top the rows of the
        contexts before it, int64 [N] each: ABSENT where the n-gram is in no table, BEFORE where the line is not that
        long.
    """
    words = np.asarray(tokens, np.int64)
    before = np.concatenate([[eol_id], words[:-1]])
    before[list(starts)] = eol_id
    is_start = before == eol_id
    rows, contexts = [words], [before]
    for k, table in enumerate(keys, 2):
        rows.append(find_rows(table, contexts[-1], words, vocab_size))
        if k <= len(keys):
            contexts.append(np.where(is_start, BEFORE, np.concatenate([[BEFORE], rows[-1][:-1]])))
    return rows, contexts


def find_rows(keys: KeyParts, contexts: np.ndarray, words: np.ndarray, vocab_size: int) -> np.ndarray:
    """Returns the rows [N] of the n-grams "context word" in a table.

    Sorted queries walk through the table, where unsorted ones would jump to and fro: several times faster.

    Args:
        keys: What yields the sorted `trie_keys` of the table in parts.
        contexts: Rows of the contexts in the table of the order below, int [N]; may be ABSENT or BEFORE.
        words: The words after them, int [N].
        vocab_size: Words are below it.
    """
    known = np.flatnonzero(contexts >= 0)
    rows = np.where(contexts == BEFORE, BEFORE, ABSENT)
    if len(known):
        queries = trie_keys(contexts[known], words[known], vocab_size)
        wanted, _, _, rank = group(queries, int(queries.max()) + 1)
        found, first = np.full(len(wanted), ABSENT, np.int64), 0
        for part in keys():
            here = slice(*np.searchsorted(wanted, [part[0], part[-1] + 1]))
            at = np.searchsorted(part, wanted[here])
            found[here] = np.where(part[at] == wanted[here], first + at, ABSENT)
            first += len(part)
        rows[known] = found[rank]
    return rows
