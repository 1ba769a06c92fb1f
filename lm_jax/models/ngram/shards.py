"""Counting n-grams of a text that is larger than memory: sorted shards on disk, merged; the tables are those of
`count_ngrams` to the last bit.

Order by order: the k-grams of one block of the text after another are sorted and counted, and written as a shard; the
shards are merged range by range, and what row each k-gram of a shard has become is written beside it. From it comes the
row of the k-gram that ends at each position, which the next order needs for its prefix. Text, shards and tables lie on
disk; memory holds one block, or one range, at a time.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lm_jax.errors import UserError, check_sizes
from lm_jax.mapped import Column, blocks, release
from lm_jax.models.ngram.counts import NGrams, group, trie_keys, unigram_table


BYTES_A_TOKEN = 128  # that a block takes: keys, positions and ranks of 8 bytes each, and copies of them
SMALLEST_BLOCK = 1000
SAMPLED = 256  # keys of each shard, by which the ranges are cut
SHARD = np.dtype([("key", np.int64), ("count", np.int64), ("suffix", np.int32), ("start", bool)])


class Shard(NamedTuple):
    """The k-grams of one block: their file, sorted by key, and the rows that they have in the merged table."""

    ngrams: Column
    rows: Column


def count_in_shards(tokens: np.ndarray, order: int, vocab_size: int, eol_id: int, max_memory: int) -> list[NGrams]:
    """Counts as `count_ngrams` does, in bounded memory. Shards go to a temporary folder (TMPDIR).

    Args:
        tokens: The text, ids int [N]; may be a np.memmap.
        order: The largest n.
        vocab_size: Ids are below it.
        eol_id: The id of the end of a line.
        max_memory: Bytes that may be used, about, besides some numbers for each entry of the vocabulary.

    Returns:
        The tables of each order: maps of files that have no name any more.

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
    for words in blocks(tokens, block):
        counts += np.bincount(words, minlength=vocab_size)
    tables = [unigram_table(counts)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        text = _Text(tokens, block, eol_id, Path(folder))
        for k in range(2, order + 1):
            ranks, shards = text.shards(k, vocab_size)
            tables.append(_merge(k, shards, block, vocab_size))
            if k < order:
                text.go_on(k, ranks.array(), shards)
            for path in (ranks.path, *(column.path for shard in shards for column in shard)):
                path.unlink()
    return tables


class _Text:
    """A text and, on disk, two numbers for each position: how far it is from the start of its line, and the row of
    the n-gram of the last order counted that ends there (-1 where the line is not that long)."""

    def __init__(self, tokens, block, eol_id, folder):
        self.tokens, self.block, self.eol_id, self.folder = tokens, block, eol_id, folder
        self.starts = range(0, len(tokens), block)
        distance, line_start = Column(folder / "distance", np.int32), 0
        for start in self.starts:
            before = self._before(tokens, start, eol_id)
            at = np.arange(start, start + len(before))
            begins = np.maximum.accumulate(np.where(before == eol_id, at, line_start))
            distance.append(at - begins)
            line_start = int(begins[-1])
        self.distance, self.rows = distance.array(), tokens

    def _before(self, values, start, first):
        """What lies before each position of a block, with `first` before the text."""
        end = min(start + self.block, len(values)) - 1
        before = np.asarray(values[start - 1 : end] if start else np.concatenate([[first], values[:end]]), np.int64)
        release(values)
        return before

    def _ends(self, k, start):
        """The positions in a block at which a k-gram ends."""
        ends = np.flatnonzero(self.distance[start : start + self.block] >= k - 2)
        release(self.distance)
        return ends

    def shards(self, k, vocab_size):
        """Returns the k-grams of the blocks, and for each position the place of its k-gram in the shard of its
        block, -1 where none ends."""
        ranks, shards = Column(self.folder / f"ranks-{k}", np.int32), []
        for start in self.starts:
            here, at = slice(start, start + self.block), self._ends(k, start)
            # the first k - 1 words of a k-gram are the (k-1)-gram that ends before its last word
            prefixes = self._before(self.rows, start, self.eol_id if k == 2 else -1)
            rank = np.full(len(prefixes), -1, np.int32)
            keys = trie_keys(prefixes[at], self.tokens[here][at], vocab_size)
            del prefixes
            keys, counts, example, rank[at] = group(keys, int(keys.max(initial=0)) + 1)
            ends = at[example]
            rows = np.empty(len(keys), SHARD)
            rows["key"], rows["count"] = keys, counts
            rows["suffix"], rows["start"] = self.rows[here][ends], self.distance[here][ends] == k - 2
            release(self.tokens, self.rows, self.distance)
            shard = Shard(
                Column(self.folder / f"{k}-{start}", SHARD), Column(self.folder / f"{k}-{start}-rows", np.int32)
            )
            shard.ngrams.append(rows)
            ranks.append(rank)
            shards.append(shard)
        return ranks, shards

    def go_on(self, k, ranks, shards):
        """Goes on to the rows of the k-grams."""
        rows = Column(self.folder / f"rows-{k}", np.int32)
        for rank, shard in zip(blocks(ranks, self.block), shards, strict=True):
            found = np.append(shard.rows.array(), np.int32(-1))  # the last one for the rank -1
            rows.append(found[rank])
        self.rows = rows.array()


def _merge(k, shards: list[Shard], block: int, vocab_size: int) -> NGrams:
    """Merges sorted shards into one table, and tells each shard the rows of its n-grams."""
    folder = shards[0].ngrams.path.parent
    types = {"words": np.int32, "prefix": np.int32, "suffix": np.int32, "counts": np.int64, "starts": bool}
    columns = {name: Column(folder / f"{name}-{k}", types[name]) for name in NGrams._fields}
    for parts in _ranges([shard.ngrams.array() for shard in shards], block // 2):
        lengths, rows = [len(part) for part in parts], np.concatenate(parts)
        order = np.argsort(rows["key"], kind="stable")
        rows = rows[order]
        first = np.ones(len(rows), bool)
        np.not_equal(rows["key"][1:], rows["key"][:-1], out=first[1:])
        row_of = np.empty(len(rows), np.int32)
        row_of[order] = np.cumsum(first) - 1 + columns["words"].length
        for shard, some in zip(shards, np.split(row_of, np.cumsum(lengths)[:-1]), strict=True):
            shard.rows.append(some)
        first = np.flatnonzero(first)
        columns["counts"].append(np.add.reduceat(rows["count"], first) if len(first) else first)
        rows = rows[first]
        columns["words"].append(rows["key"] % vocab_size)
        columns["prefix"].append(rows["key"] // vocab_size)
        columns["suffix"].append(rows["suffix"])
        columns["starts"].append(rows["start"])
    return NGrams(**{name: column.array() for name, column in columns.items()})


def _ranges(shards: list[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """Yields what each shard has in one range of keys after another, `size` rows or less of all of them in most:
    ends are drawn at even ranks of a sample of the keys."""
    count = -(-sum(map(len, shards)) // size)
    samples, cuts = [], []
    for shard in shards:
        samples.append(shard["key"][:: max(1, len(shard) // SAMPLED)].copy())
        release(shard)
    sample = np.sort(np.concatenate(samples))
    ends = sample[np.arange(1, count) * len(sample) // max(count, 1)]
    for shard in shards:
        cuts.append([0, *np.searchsorted(shard["key"], ends).tolist(), len(shard)])
        release(shard)
    for number in range(count):
        parts = [shard[cut[number] : cut[number + 1]] for shard, cut in zip(shards, cuts, strict=True)]
        yield parts
        release(*shards)
