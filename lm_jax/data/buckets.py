"""Batches of sentences of like length: few shapes compile, and little of a batch is padding.

Lengths are rounded up to a few (8, 11, 15, 20, ...: each a third more than the one before). Sentences are sorted by
their rounded length, in a new random order within each, and cut into batches of B; so the number of batches and their
lengths are the same in every epoch, and the batches come in an order that is new in every epoch. What a seed changes is
which sentences are together, not the lengths of the batches: runs of several seeds go through equal shapes.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


SHORTEST, GROWTH = 8, 4 / 3
PADDING = -1  # an id that no token has


class Bucketed(NamedTuple):
    """One pass: rows [steps, B], the number of each batch's sentences, -1 for none; lengths [steps], as padded."""

    rows: np.ndarray
    lengths: np.ndarray


def round_up(lengths: np.ndarray) -> np.ndarray:
    """Returns each length, rounded up to one of the few lengths of batches."""
    allowed = [SHORTEST]
    while allowed[-1] < lengths.max(initial=1):
        allowed.append(math.ceil(allowed[-1] * GROWTH))
    return np.asarray(allowed)[np.searchsorted(allowed, lengths)]


@dataclasses.dataclass(frozen=True, eq=False)
class Buckets:
    """The batches of sentences with these lengths int [N], as a pure function of (lengths, batch_size, seed, epoch)."""

    lengths: np.ndarray
    batch_size: int
    seed: int = 0

    @functools.cached_property
    def steps_per_epoch(self) -> int:
        """Batches in one pass."""
        return math.ceil(len(self.lengths) / self.batch_size)

    @functools.cached_property
    def _rounded(self):
        return round_up(np.asarray(self.lengths))

    @functools.cached_property
    def _sorted_lengths(self):
        """The padded length of each batch, the shortest first: that of its longest sentence."""
        last = np.minimum(np.arange(1, self.steps_per_epoch + 1) * self.batch_size, len(self.lengths)) - 1
        return np.sort(self._rounded)[last]

    @property
    def padding(self) -> float:
        """The share of the positions of a pass that are padding."""
        return 1 - float(np.sum(self.lengths)) / (self.batch_size * float(self._sorted_lengths.sum()))

    def epoch(self, number: int) -> Bucketed:
        """Returns the sentences of each batch of a pass."""
        shuffled = np.random.default_rng((self.seed, number)).permutation(len(self.lengths))
        order = shuffled[np.argsort(self._rounded[shuffled], kind="stable")]
        empty = self.steps_per_epoch * self.batch_size - len(order)
        rows = np.append(order, np.full(empty, -1, order.dtype)).reshape(self.steps_per_epoch, self.batch_size)
        batches = self._order(number)
        return Bucketed(rows[batches], self._sorted_lengths[batches])

    def chunk_lengths(self, number: int) -> np.ndarray:
        """Returns the lengths of the batches of one pass, int [steps_per_epoch]."""
        return self._sorted_lengths[self._order(number)]

    def _order(self, number):
        return np.random.default_rng((number,)).permutation(self.steps_per_epoch)


def in_order(lengths: np.ndarray, batch_size: int) -> Bucketed:
    """Returns batches for an evaluation: the shortest sentences first, each once."""
    order = np.argsort(lengths, kind="stable")
    steps = math.ceil(len(order) / batch_size)
    rows = np.append(order, np.full(steps * batch_size - len(order), -1, order.dtype)).reshape(steps, batch_size)
    longest = np.minimum(np.arange(1, steps + 1) * batch_size, len(order)) - 1
    return Bucketed(rows, round_up(lengths[order[longest]]))


def lay_out(bucketed: Bucketed, sequences: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the sequences of a pass, int32 [sum of the lengths, B]: batch after batch, padded with -1 at the end.

    Time is axis 0, so that a batch is a slice of it.
    """
    starts = np.cumsum(bucketed.lengths) - bucketed.lengths
    columns = np.full((int(bucketed.lengths.sum()), bucketed.rows.shape[1]), PADDING, np.int32)
    for start, rows in zip(starts, bucketed.rows, strict=True):
        for column, row in enumerate(rows):
            if row >= 0:
                sequence = sequences[row]
                columns[start : start + len(sequence), column] = sequence
    return columns
