"""Batches: every token is a target exactly once, and a batch is a function of (tokens, seed, step) only."""

import subprocess
import sys

import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.data import Batches
from lm_jax.data.batching import cut_streams, pack_lines, pad_streams


EOL = 0
SIZES = [(12, 3, 4), (13, 3, 4), (50, 7, 3), (97, 1, 10), (64, 8, 8), (200, 16, 5), (31, 5, 1), (9, 9, 1)]


def text(length, seed=1):
    """Ids that are all different but for the end-of-line token about every sixth."""
    tokens = np.arange(1, length + 1, dtype=np.int32)
    tokens[np.random.default_rng(seed).random(length) < 1 / 6] = EOL
    tokens[-1] = EOL
    return tokens


def make(tokens, batch_size, bptt, mode="stream", seed=0):
    return Batches(tokens, EOL, batch_size, bptt, mode, seed)


def columns(batches, epoch=0):
    """The real targets of each stream, in the order in which an epoch visits them."""
    steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
    parts = [batches.batch_at(step) for step in steps]
    targets, mask = (np.concatenate([getattr(p, name) for p in parts]) for name in ("targets", "mask"))
    return [targets[mask[:, b], b] for b in range(targets.shape[1])]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("mode", ["stream", "sentence"])
@pytest.mark.parametrize("epoch", [0, 3])
def test_every_token_is_a_target_exactly_once(size, mode, epoch):
    length, batch_size, bptt = size
    tokens = text(length)
    found = np.concatenate(columns(make(tokens, batch_size, bptt, mode), epoch))
    np.testing.assert_array_equal(np.sort(found), np.sort(tokens))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_streams_are_the_text_in_order_and_of_equal_length(size):
    length, batch_size, bptt = size
    found = columns(make(text(length), batch_size, bptt))
    np.testing.assert_array_equal(np.concatenate(found), text(length))
    assert max(map(len, found)) - min(map(len, found)) <= 1


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sentences_stay_whole(size):
    length, batch_size, bptt = size
    lines = np.split(text(length), np.flatnonzero(text(length) == EOL)[:-1] + 1)
    streams = make(text(length), batch_size, bptt, "sentence").epoch(2)
    found = []
    for b, n in enumerate(streams.lengths):
        stream = streams.tokens[1 : n + 1, b]
        assert n == 0 or stream[-1] == EOL
        found += [tuple(line) for line in np.split(stream, np.flatnonzero(stream == EOL) + 1) if len(line)]
    assert sorted(found) == sorted(tuple(line) for line in lines)


@pytest.mark.parametrize("mode", ["stream", "sentence"])
def test_inputs_are_the_targets_one_step_later(mode):
    batches = make(text(203), 4, 6, mode)
    for step in range(batches.steps_per_epoch):
        batch = batches.batch_at(step)
        np.testing.assert_array_equal(batch.inputs[1:], batch.targets[:-1])
        if step % batches.steps_per_epoch == 0:
            assert (batch.inputs[0] == EOL).all()  # the first token of every stream is predicted too
        else:
            np.testing.assert_array_equal(batch.inputs[0], batches.batch_at(step - 1).targets[-1])
        assert [a.shape for a in batch] == [(6, 4)] * 4
        assert batch.inputs.dtype == batch.targets.dtype == np.int32
        assert batch.mask.dtype == batch.reset.dtype == bool


def test_a_stream_is_reset_only_where_the_epoch_starts():
    batches = make(text(100), 4, 6)
    for step in range(2 * batches.steps_per_epoch):
        reset = batches.batch_at(step).reset
        expected = np.zeros_like(reset)
        expected[0] = step % batches.steps_per_epoch == 0
        np.testing.assert_array_equal(reset, expected)


def test_every_sentence_is_reset_where_it_starts():
    batches = make(text(203), 4, 6, "sentence")
    starts = {-1}
    for step in range(batches.steps_per_epoch):
        batch = batches.batch_at(step)
        np.testing.assert_array_equal(batch.reset, batch.inputs == EOL)
        starts |= set(batch.targets[batch.reset & batch.mask])
    tokens = text(203)
    firsts = np.concatenate([tokens[:1], tokens[1:][tokens[:-1] == EOL]])
    assert starts == {-1, *firsts}


@pytest.mark.parametrize("mode", ["stream", "sentence"])
def test_a_batch_is_a_function_of_seed_and_step(mode):
    one, other = make(text(203), 4, 6, mode, seed=3), make(text(203), 4, 6, mode, seed=3)
    steps = [5, 0, 40, 5, 17]
    expected = [other.batch_at(step) for step in range(41)]
    for step in steps:  # in any order, as often as you like
        for a, b in zip(one.batch_at(step), expected[step], strict=True):
            np.testing.assert_array_equal(a, b)


def test_epochs_and_seeds_shuffle_sentences_anew():
    orders = [
        make(text(203), 4, 6, "sentence", seed).epoch(number).tokens.tobytes() for seed in (0, 1) for number in (0, 1)
    ]
    assert len(set(orders)) == 4
    streams = [make(text(203), 4, 6, "stream", seed).epoch(number).tokens for seed in (0, 1) for number in (0, 1)]
    assert all((s == streams[0]).all() for s in streams)


@pytest.mark.parametrize("mode", ["stream", "sentence"])
def test_epochs_are_of_equal_length(mode):
    batches = make(text(203), 4, 6, mode)
    rows = {batches.epoch(number).tokens.shape for number in range(8)}
    assert rows == {(batches.steps_per_epoch * 6 + 1, 4)}
    assert all(batches.epoch(number).lengths.max() <= batches.steps_per_epoch * 6 for number in range(8))


@pytest.mark.parametrize("length", [0, 1, 23])
def test_a_text_shorter_than_one_batch_is_refused(length):
    with pytest.raises(UserError, match=f"one batch of 4 streams x 6 steps = 24 tokens, got {length}"):
        make(text(24)[:length], 4, 6)
    make(text(24), 4, 6)  # just enough


@pytest.mark.parametrize("num_streams", [1, 2, 7, 30])
def test_lines_packed_in_their_order(num_streams):
    """Without a generator nothing is shuffled; more streams than lines leave some empty."""
    streams = pack_lines(text(60), num_streams, EOL, None)
    parts = [streams.tokens[1 : n + 1, b] for b, n in enumerate(streams.lengths)]
    np.testing.assert_array_equal(np.concatenate(parts), text(60))
    assert len(parts) == num_streams


def test_a_last_line_without_an_end_is_kept():
    tokens = np.array([3, EOL, 4, 5], np.int32)
    assert sorted(pack_lines(tokens, 2, EOL, None).lengths) == [2, 2]
    assert cut_streams(tokens, 3, EOL).lengths.tolist() == [2, 1, 1]


def test_padding_changes_no_target():
    streams = cut_streams(text(20), 3, EOL)
    padded = pad_streams(streams, 11)
    assert padded.tokens.shape == (12, 3)
    np.testing.assert_array_equal(padded.tokens[: len(streams.tokens)], streams.tokens)
    np.testing.assert_array_equal(padded.lengths, streams.lengths)


def test_data_imports_no_jax():
    code = "import sys, lm_jax.data, lm_jax.config; sys.exit(any(m.split('.')[0] == 'jax' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
