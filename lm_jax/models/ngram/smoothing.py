"""From counts to back-off tables: an order at a time, some contexts with all their n-grams at a time.

What an estimator does is local to a context, but for the probabilities of the order below. So it is a function of the
n-grams that continue some contexts; how many contexts those are, and whether the tables lie in memory or on disk, it
does not know, and its numbers are the same bits.
"""

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lm_jax.mapped import Column, Parts, blocks, release, take
from lm_jax.models.ngram.counts import NGrams
from lm_jax.models.ngram.tables import BackoffParams, assembled


BYTES_A_ROW = 256  # that an n-gram takes while its probability is computed, in all arrays together


@dataclasses.dataclass(frozen=True)
class Workspace:
    """Where an estimator works: in memory without a limit, or in so many bytes of it and a folder."""

    folder: Path | None = None
    memory: int | None = None
    numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def rows(self, size: int) -> int:
        """Returns how many rows of so many bytes there may be in memory."""
        return sys.maxsize if self.memory is None else max(1, self.memory // size)

    def column(self, dtype: type) -> Column | Parts:
        """Makes an empty column."""
        return Parts(dtype) if self.folder is None else Column(self.folder / str(next(self.numbers)), dtype)


IN_MEMORY = Workspace()


class Continuations(NamedTuple):
    """All n-grams of an order, N of them, that continue some C contexts which follow each other.

    contexts: C. prefix int [N]: which of them an n-gram continues. counts int [N]. lower float64 [N]: the probability
    of the last word after the context without its first word.
    """

    contexts: int
    prefix: np.ndarray
    counts: np.ndarray
    lower: np.ndarray

    def totals(self, weights: np.ndarray) -> np.ndarray:
        """Sums of a weight for each n-gram over each context, [C]."""
        return np.bincount(self.prefix, weights=weights, minlength=self.contexts)


SmoothFn = Callable[[Continuations], tuple[np.ndarray, np.ndarray]]  # -> P [N], log of the back-off weights [C]


def smooth(
    tables: Sequence[NGrams],
    estimators: Sequence[SmoothFn],
    space: Workspace = IN_MEMORY,
    counts: Sequence[np.ndarray] | None = None,
    log_missing: float = 0.0,
) -> BackoffParams:
    """Returns the tables that an estimator makes of counts. A probability that rounding has put above 1 is 1.

    Args:
        tables: The counted n-grams of each order.
        estimators: A function for each order.
        space: Where to work.
        counts: What the functions take as counts; default: those of the tables.
        log_missing: The weight after a context that is in no table.
    """
    lower = np.full(1, 1.0 / len(tables[0].words))  # the distribution below the unigrams, one row: uniform
    log_probs, log_backoffs, child_starts = [], [], []
    for k, (table, estimator) in enumerate(zip(tables, estimators, strict=True), 1):
        contexts = 1 if k == 1 else len(tables[k - 2].words)
        of_order = table.counts if counts is None else counts[k - 1]
        lower, log_prob, log_backoff, start = _smooth_order(table, contexts, of_order, lower, estimator, space)
        log_probs.append(log_prob)
        if k > 1:
            log_backoffs.append(log_backoff)
            child_starts.append(start)
    return assembled([table.words for table in tables], log_probs, log_backoffs, child_starts, log_missing)


def _smooth_order(table, contexts, counts, lower, estimator, space):
    """Probabilities, their logarithms, the back-off weights of the contexts, and where their n-grams begin."""
    types = np.float64, np.float32, np.float32, np.int32
    columns = probs, log_probs, log_backoffs, starts = [space.column(dtype) for dtype in types]
    for rows, some in context_parts(table.prefix, contexts, space.rows(BYTES_A_ROW)):
        prefix = table.prefix[rows] - np.int32(some.start)
        below = take(lower, table.suffix[rows], space.rows(64))
        continuations = Continuations(some.stop - some.start, prefix, counts[rows], below)
        prob, log_backoff = estimator(continuations)
        probs.append(prob)
        log_prob = np.log(prob)
        log_probs.append(np.minimum(log_prob, 0.0, out=log_prob))
        log_backoffs.append(log_backoff)
        ends = np.cumsum(np.bincount(prefix, minlength=continuations.contexts)) + rows.start
        starts.append(np.concatenate([[rows.start], ends[:-1]]))
        release(table.prefix, table.suffix, counts)
    starts.append(np.array([len(table.words)]))
    return [column.array() for column in columns]


def context_parts(prefix: np.ndarray, contexts: int, most: int) -> Iterator[tuple[slice, slice]]:
    """Cuts a table where a context ends. Yields the rows of a part and its contexts.

    Args:
        prefix: The context of each row, int [N], ascending.
        contexts: How many contexts there are, those that nothing continues included.
        most: The rows, and the contexts, of a part; one context with more rows is a part of its own.
    """
    row = context = 0
    while context < contexts:
        last = min(row + most, len(prefix))
        end = contexts if last == len(prefix) else int(prefix[last - 1]) + 1
        end = min(end, context + most)
        # a number of another type would have the whole array converted
        row_end = len(prefix) if end == contexts else int(np.searchsorted(prefix, prefix.dtype.type(end)))
        yield slice(row, row_end), slice(context, end)
        row, context = row_end, end


def histogram(counts: np.ndarray, largest: int) -> np.ndarray:
    """Returns how many numbers are 0, 1, 2, ... and `largest` or more, float64 [largest + 1].

    Args:
        counts: Of the n-grams of an order.
        largest: The last number that is told apart, with all that are above it.
    """
    found = np.zeros(largest + 1, np.int64)
    for some in blocks(counts):
        found += np.bincount(np.minimum(some, largest), minlength=largest + 1)
    return found.astype(np.float64)


def continuation_counts(tables: list[NGrams], space: Workspace = IN_MEMORY) -> list[np.ndarray]:
    """Adjusted counts (Kneser & Ney 1995): at the top order the occurrences, below it the number of different words
    that precede an n-gram - but of n-grams that start with <s>, which nothing precedes, the occurrences.

    Args:
        tables: The counted n-grams of each order.
        space: Where to work.
    """
    return [*(_continued(table, above, space) for table, above in itertools.pairwise(tables)), tables[-1].counts]


def _continued(table, above, space):
    adjusted, size = space.column(np.int64), space.rows(32)
    for start in range(0, len(table.words), size):
        here = slice(start, start + size)
        preceding = np.zeros(len(table.words[here]), np.int64)
        for suffix in blocks(above.suffix, space.rows(64)):
            if len(preceding) == len(table.words):
                inside = suffix
            else:
                inside = suffix - np.int32(start)
                inside = inside[(inside >= 0) & (inside < len(preceding))]
            preceding += np.bincount(inside, minlength=len(preceding))
        adjusted.append(np.where(table.starts[here], table.counts[here], preceding))
        release(table.starts, table.counts)
    return adjusted.array()
