"""Buckets: every sentence once an epoch, few lengths, and the same lengths whatever the seed."""

import numpy as np
import pytest

from lm_jax.data.buckets import Buckets, in_order, lay_out, round_up


LENGTHS = np.random.default_rng(0).integers(1, 60, 101)


def test_every_sentence_is_in_one_batch_of_an_epoch():
    for number in (0, 3):
        epoch = Buckets(LENGTHS, 8, seed=1).epoch(number)
        assert sorted(epoch.rows[epoch.rows >= 0]) == list(range(101)) and epoch.rows.shape == (13, 8)
        longest = [LENGTHS[rows[rows >= 0]].max() for rows in epoch.rows]
        assert (epoch.lengths >= longest).all()


def test_epochs_and_seeds_differ_in_company_not_in_lengths():
    one, again, other = (Buckets(LENGTHS, 8, seed) for seed in (1, 1, 2))
    for number in (0, 1):
        np.testing.assert_array_equal(one.epoch(number).rows, again.epoch(number).rows)
        np.testing.assert_array_equal(one.epoch(number).lengths, one.chunk_lengths(number))
        np.testing.assert_array_equal(one.chunk_lengths(number), other.chunk_lengths(number))
        assert (one.epoch(number).rows != other.epoch(number).rows).any()
    assert (one.epoch(0).rows != one.epoch(1).rows).any()
    assert sorted(one.chunk_lengths(0)) == sorted(one.chunk_lengths(1))
    assert (one.chunk_lengths(0) != one.chunk_lengths(1)).any()


def test_lengths_are_few_and_a_third_apart():
    rounded = round_up(np.arange(1, 1001))
    assert len(set(rounded.tolist())) == 18 and (rounded >= np.arange(1, 1001)).all()
    assert max(rounded[8:] / np.arange(9, 1001)) < 4 / 3 + 0.1


def test_the_share_of_padding_is_that_of_the_laid_out_epoch():
    buckets = Buckets(LENGTHS, 8)
    sequences = [np.full(length, number) for number, length in enumerate(LENGTHS)]
    columns = lay_out(buckets.epoch(2), sequences)
    assert np.mean(columns < 0) == pytest.approx(buckets.padding) and buckets.padding < 0.35
    np.testing.assert_array_equal(np.bincount(columns[columns >= 0]), LENGTHS)


def test_a_batch_is_a_slice_of_time():
    epoch = Buckets(LENGTHS, 8).epoch(0)
    columns = lay_out(epoch, [np.full(length, number) for number, length in enumerate(LENGTHS)])
    start = 0
    for rows, length in zip(epoch.rows, epoch.lengths, strict=True):
        batch = columns[start : start + length]
        for column, row in zip(batch.T, rows, strict=True):
            count = LENGTHS[row] if row >= 0 else 0
            assert (column[:count] == row).all() and (column[count:] == -1).all()
        start += length


def test_batches_of_an_evaluation_go_from_short_to_long():
    batches = in_order(LENGTHS, 16)
    assert sorted(batches.rows[batches.rows >= 0]) == list(range(101))
    assert (np.diff(batches.lengths) >= 0).all()
