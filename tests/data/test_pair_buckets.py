"""Batches of pairs: each pair once, few shapes, the same for every seed and epoch, and little padding."""

import itertools

import numpy as np
import pytest

from lm_jax.data.pair_buckets import SHAPES, PairBuckets, bucket_ends, lay_out_pairs


GENERATOR = np.random.default_rng(0)
SOURCE = GENERATOR.integers(1, 30, size=101)
TARGET = np.maximum(1, SOURCE + GENERATOR.integers(-4, 5, size=101))


def padded(ends, lengths):
    return np.asarray(ends)[np.searchsorted(ends, lengths)].sum()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 50])
def test_ends_leave_the_least_padding(count):
    lengths = GENERATOR.integers(1, 10, size=40) ** 2
    present = np.unique(lengths)
    choices = itertools.combinations(present[:-1].tolist(), min(count, len(present)) - 1)
    least = min(padded([*choice, present[-1]], lengths) for choice in choices)
    assert len(bucket_ends(lengths, count)) <= count and padded(bucket_ends(lengths, count), lengths) == least


@pytest.mark.parametrize("seed", [0, 1])
def test_every_pair_once_in_shapes_that_do_not_change(seed):
    buckets = PairBuckets(SOURCE, TARGET, 8, seed)
    epochs = [buckets.epoch(number) for number in (0, 1)]
    for epoch in epochs:
        assert sorted(row for row in epoch.rows.ravel() if row >= 0) == list(range(101))
        assert epoch.rows.shape == (buckets.steps_per_epoch, 8) == (13, 8)
    assert np.any(epochs[0].rows != epochs[1].rows)
    assert sorted(epochs[0].lengths) == sorted(epochs[1].lengths) and len(set(epochs[0].lengths)) <= SHAPES
    np.testing.assert_array_equal(buckets.chunk_lengths(1), epochs[1].lengths)
    np.testing.assert_array_equal(PairBuckets(SOURCE, TARGET, 8, 7).chunk_lengths(1), epochs[1].lengths)
    assert 0 < buckets.padding < 0.3


def test_a_batch_is_its_sources_and_then_its_targets():
    sources = [np.full(length, row, np.int32) for row, length in enumerate(SOURCE)]
    targets = [np.full(length, 1000 + row, np.int32) for row, length in enumerate(TARGET)]
    buckets = PairBuckets(SOURCE, TARGET, 8)
    epoch, start, real = buckets.epoch(3), 0, 0
    columns = lay_out_pairs(epoch, buckets.source_rows, sources, targets)
    for rows, length in zip(epoch.rows, epoch.lengths, strict=True):
        middle = buckets.source_rows[int(length)]
        for column, row in enumerate(rows):
            batch = columns[start : start + length, column]
            source, target = batch[:middle], batch[middle:]
            wanted = (sources[row], targets[row]) if row >= 0 else (source[:0], target[:0])
            for side, sentence in zip((source, target), wanted, strict=True):
                np.testing.assert_array_equal(side[: len(sentence)], sentence)
                assert np.all(side[len(sentence) :] == -1)
        start += length
    real = SOURCE.sum() + TARGET.sum()
    assert start == len(columns) and buckets.padding == pytest.approx(1 - real / columns.size)
