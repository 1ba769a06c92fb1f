"""Batches of pairs of sentences of like lengths: few shapes compile, and little of a batch is padding.

Pairs are put together by the longer of their two sentences (lm_jax/data/buckets.py). A batch of one bucket is padded to
the longest source and the longest target that it or a shorter bucket has, so that there is one shape (S, T) for a
bucket, in every epoch and for every seed. On the device a batch is S + T rows: its sources, then its targets; the sum
says which bucket it is.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from lm_jax.data.buckets import PADDING, Bucketed, Buckets, round_up


@dataclasses.dataclass(frozen=True, eq=False)
class PairBuckets:
    """The batches of pairs with these lengths int [N], as a pure function of them, batch_size, seed and epoch."""

    source_lengths: np.ndarray
    target_lengths: np.ndarray
    batch_size: int
    seed: int = 0

    @functools.cached_property
    def _buckets(self):
        return Buckets(np.maximum(self.source_lengths, self.target_lengths), self.batch_size, self.seed)

    @functools.cached_property
    def _shapes(self):
        return shapes(self.source_lengths, self.target_lengths)

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


def shapes(source_lengths: np.ndarray, target_lengths: np.ndarray) -> dict[int, tuple[int, int]]:
    """Returns (S, T) for each rounded length of the longer sentence of a pair.

    Both rise with it, so that no two different shapes have the same sum.
    """
    longer = round_up(np.maximum(source_lengths, target_lengths))
    found = {}
    for bucket in np.unique(longer):
        within = longer <= bucket
        found[int(bucket)] = (int(source_lengths[within].max()), int(target_lengths[within].max()))
    return found


def lay_out_pairs(
    bucketed: Bucketed,
    source_rows: Mapping[int, int],
    sources: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
) -> np.ndarray:
    """Returns the pairs of a pass, int32 [sum of the lengths, B]: of each batch sources, then targets; -1 pads."""
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
