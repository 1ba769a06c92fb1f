"""Batches of pairs of sentences of like lengths: few shapes compile, and little of a batch is padding.

Pairs are put together by the longer of their two sentences (lm_jax/data/buckets.py), in a few buckets whose ends are
chosen so that padding is least. A batch of one bucket is padded to the longest source and the longest target that it or
a shorter bucket has, so that there is one shape (S, T) for a bucket, in every epoch and for every seed. On the device a
batch is S + T rows: its sources, then its targets; the sum says which bucket it is.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from lm_jax.data.buckets import PADDING, Bucketed, Buckets


SHAPES = 5  # buckets; each compiles once


@dataclasses.dataclass(frozen=True, eq=False)
class PairBuckets:
    """The batches of pairs with these lengths int [N], as a pure function of them, batch_size, seed and epoch."""

    source_lengths: np.ndarray
    target_lengths: np.ndarray
    batch_size: int
    seed: int = 0

    @functools.cached_property
    def _longer(self):
        return np.maximum(self.source_lengths, self.target_lengths)

    @functools.cached_property
    def _ends(self):
        return bucket_ends(self._longer, SHAPES)

    @functools.cached_property
    def _buckets(self):
        ends = np.asarray(self._ends)
        return Buckets(self._longer, self.batch_size, self.seed, lambda lengths: ends[np.searchsorted(ends, lengths)])

    @functools.cached_property
    def _shapes(self):
        """(S, T) of each bucket by its end. Both rise with it, so that no two different shapes have the same sum."""
        within = {end: self._longer <= end for end in self._ends}
        sides = (self.source_lengths, self.target_lengths)
        return {end: tuple(int(side[chosen].max()) for side in sides) for end, chosen in within.items()}

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass."""
        return self._buckets.steps_per_epoch

    @functools.cached_property
    def source_rows(self) -> dict[int, int]:
        """How many rows of a batch are its sources, by the number of all its rows."""
        return {sum(shape): shape[0] for shape in self._shapes.values()}

    @property
    def padding(self) -> float:
        """The share of the positions of a pass that are padding."""
        real = float(np.sum(self.source_lengths) + np.sum(self.target_lengths))
        return 1 - real / (self.batch_size * float(self.chunk_lengths(0).sum()))

    def epoch(self, number: int) -> Bucketed:
        """Returns the pairs of each batch of a pass, and the number of rows, S + T, of each."""
        bucketed = self._buckets.epoch(number)
        return bucketed._replace(lengths=self._totals(bucketed.lengths))

    def chunk_lengths(self, number: int) -> np.ndarray:
        """Returns the rows of the batches of one pass, int [steps_per_epoch]."""
        return self._totals(self._buckets.chunk_lengths(number))

    def _totals(self, lengths):
        return np.asarray([sum(self._shapes[int(length)]) for length in lengths])


def bucket_ends(lengths: np.ndarray, count: int) -> list[int]:
    """Returns at most `count` rising lengths, the longest among them, so that the sum of all lengths, each rounded up
    to one of them, is least."""
    present, numbers = np.unique(lengths, return_counts=True)
    before = np.concatenate([[0], np.cumsum(numbers)])
    # cost[j]: of the lengths before present[j] in so many buckets; ends[j]: the ends of these
    cost, ends = np.where(before > 0, np.inf, 0.0), [[] for _ in before]
    for _ in range(min(count, len(present))):
        last = [int(np.argmin(cost[:j] + (before[j] - before[:j]) * present[j - 1])) for j in range(1, len(before))]
        ends = [[], *([*ends[i], int(present[j])] for j, i in enumerate(last))]
        cost = np.asarray(
            [0.0, *(cost[i] + (before[j + 1] - before[i]) * float(present[j]) for j, i in enumerate(last))]
        )
    return sorted(set(ends[-1]))


def lay_out_pairs(
    bucketed: Bucketed,
    source_rows: Mapping[int, int],
    sources: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
) -> np.ndarray:
    """Returns the pairs of a pass, int32 [sum of the lengths, B]: of each batch sources, then targets; -1 pads.

    Args:
        bucketed: Which pairs are in which batch.
        source_rows: By the length of a batch in rows, how many of them are for sources.
        sources: Ids of the source sentences, int [S] each.
        targets: Ids of the target sentences, int [T] each.
    """
    columns = np.full((int(bucketed.lengths.sum()), bucketed.rows.shape[1]), PADDING, np.int32)
    starts = np.cumsum(bucketed.lengths) - bucketed.lengths
    for start, length, rows in zip(starts, bucketed.lengths, bucketed.rows, strict=True):
        middle = start + source_rows[int(length)]
        for column, row in enumerate(rows):
            if row >= 0:
                source, target = sources[row], targets[row]
                columns[start : start + len(source), column] = source
                columns[middle : middle + len(target), column] = target
    return columns
