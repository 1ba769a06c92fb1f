"""Counting n-grams of a text that is larger than memory: sorted shards on disk, merged; the tables are those of
`count_ngrams` to the last bit.

Order by order: the k-grams of one block of the text after another are sorted and counted, and written as a shard; the
shards are merged range by range; then the row of the k-gram that ends at each position, which the next order needs for
its prefix, is looked up block by block. What has one number a token lies on disk; memory holds one block at a time,
and the tables that are the result.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lm_jax.errors import UserError, check_sizes
from lm_jax.models.ngram.counts import NGrams, find_rows, group, trie_keys, unigram_table


BYTES_A_TOKEN = 80  # that a block takes: keys, positions and ranks of 8 bytes each, and copies of them
SMALLEST_BLOCK = 1000
SHARD = np.dtype([("key", np.int64), ("count", np.int64), ("suffix", np.int32), ("start", bool)])


def count_in_shards(tokens: np.ndarray, order: int, vocab_size: int, eol_id: int, max_memory: int) -> list[NGrams]:
    """Counts as `count_ngrams` does, in bounded memory. Shards go to a temporary folder (TMPDIR).

    Args:
        tokens: The text, ids int [N]; may be a np.memmap.
        order: The largest n.
        vocab_size: Ids are below it.
        eol_id: The id of the end of a line.
        max_memory: Bytes that may be used besides the result, about.

    Raises:
        UserError: For an order below 1, an empty text, or too little memory.
    """
    check_sizes(order=order, vocab_size=vocab_size, max_memory=max_memory)
    block = max_memory // BYTES_A_TOKEN
    if block < SMALLEST_BLOCK:
        needed = SMALLEST_BLOCK * BYTES_A_TOKEN
        raise UserError(f"counting in shards needs max_memory of at least {needed:,} bytes, got {max_memory:,}")
    if len(tokens) == 0:
        raise UserError("a text must hold at least one token to be counted, got none")
    counts = np.zeros(vocab_size, np.int64)
    for start in range(0, len(tokens), block):
        counts += np.bincount(tokens[start : start + block], minlength=vocab_size)
    tables = [unigram_table(counts)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        text = _Text(tokens, block, eol_id, Path(folder))
        for k in range(2, order + 1):
            shards = [text.shard(k, start, vocab_size) for start in text.starts]
            tables.append(_merge(shards, block, vocab_size))
            if k < order:
                text.look_up(k, tables[-1], vocab_size)
    return tables


class _Text:
    """A text and, on disk, two numbers for each position: how far it is from the start of its line, and the row of
    the n-gram of the last order counted that ends there (-1 where the line is not that long)."""

    def __init__(self, tokens, block, eol_id, folder):
        self.tokens, self.block, self.eol_id, self.folder = tokens, block, eol_id, folder
        self.starts = range(0, len(tokens), block)
        self.distance = self._on_disk("distance")
        self.rows = self._on_disk("rows-1")
        line_start = 0
        for start in self.starts:
            here = slice(start, start + block)
            words = np.asarray(tokens[here])
            at = start + np.arange(len(words))
            begins = np.where(self._before(tokens, start, len(words), eol_id) == eol_id, at, line_start)
            begins = np.maximum.accumulate(begins)
            self.distance[here] = at - begins
            self.rows[here] = words
            line_start = int(begins[-1])

    def _on_disk(self, name):
        return np.memmap(self.folder / name, np.int32, "w+", shape=(len(self.tokens),))

    @staticmethod
    def _before(values, start, length, first):
        """values[start - 1 : start - 1 + length], with `first` before the text."""
        if start == 0:
            return np.concatenate([[first], values[: length - 1]]).astype(np.int64)
        return np.asarray(values[start - 1 : start - 1 + length], np.int64)

    def _prefixes(self, k, start, length):
        """Returns the rows of the first k - 1 words of the k-grams that end in a block, and which positions end one."""
        first = self.eol_id if k == 2 else -1
        prefixes = self._before(self.rows, start, length, first)
        return prefixes, np.flatnonzero(self.distance[start : start + length] >= k - 2)

    def shard(self, k, start, vocab_size):
        """Returns the k-grams that end in a block, sorted, on disk."""
        here = slice(start, start + self.block)
        words = np.asarray(self.tokens[here], np.int64)
        prefixes, at = self._prefixes(k, start, len(words))
        if len(at) == 0:
            return np.zeros(0, SHARD)
        keys = trie_keys(prefixes[at], words[at], vocab_size)
        keys, counts, example, _ = group(keys, int(keys.max()) + 1)
        ends = at[example]
        shard = np.memmap(self.folder / f"{k}-{start}", SHARD, "w+", shape=(len(keys),))
        shard["key"], shard["count"] = keys, counts
        shard["suffix"], shard["start"] = self.rows[here][ends], self.distance[here][ends] == k - 2
        return shard

    def look_up(self, k, table, vocab_size):
        """Goes on to the rows of the k-grams."""
        keys = trie_keys(table.prefix, table.words, vocab_size)
        rows = self._on_disk(f"rows-{k}")
        for start in self.starts:
            words = np.asarray(self.tokens[start : start + self.block], np.int64)
            prefixes, at = self._prefixes(k, start, len(words))
            matches = np.full(len(words), -1, np.int64)
            matches[at] = find_rows(keys, prefixes[at], words[at], vocab_size)
            rows[start : start + len(words)] = matches
        self.rows = rows


def _merge(shards: list[np.ndarray], block: int, vocab_size: int) -> NGrams:
    """Merges sorted shards into one table, column by column, so that no more than one column is in memory twice."""
    columns = [[column] for column in _columns(np.zeros(0, SHARD), vocab_size)]
    for rows in _ranges(shards, block):
        for parts, column in zip(columns, _columns(_merged(rows), vocab_size), strict=True):
            parts.append(column)
    return NGrams(*(np.concatenate(columns.pop(0)) for _ in NGrams._fields))


def _columns(rows, vocab_size):
    """The columns of NGrams, in their order."""
    words, prefix = (rows["key"] % vocab_size).astype(np.int32), (rows["key"] // vocab_size).astype(np.int32)
    return words, prefix, rows["suffix"].copy(), rows["count"].copy(), rows["start"].copy()


def _ranges(shards, block) -> Iterator[np.ndarray]:
    """Yields what the shards have in one range of keys after another, a block or less in most:
    ends are drawn at even ranks of a sample of the keys."""
    total = sum(map(len, shards))
    if total == 0:
        return
    sample = np.sort(np.concatenate([shard["key"][:: max(1, len(shard) // 256)] for shard in shards]))
    count = -(-total // block)
    ends = sample[np.arange(1, count) * len(sample) // count]
    cuts = [np.concatenate([[0], np.searchsorted(shard["key"], ends), [len(shard)]]) for shard in shards]
    for number in range(count):
        yield np.concatenate([shard[cut[number] : cut[number + 1]] for shard, cut in zip(shards, cuts, strict=True)])


def _merged(rows):
    """Rows of several shards, sorted by key; those of one key become one."""
    if len(rows) == 0:
        return rows
    rows = rows[np.argsort(rows["key"], kind="stable")]
    first = np.flatnonzero(np.concatenate([[True], rows["key"][1:] != rows["key"][:-1]]))
    merged = rows[first]
    merged["count"] = np.add.reduceat(rows["count"], first)
    return merged
