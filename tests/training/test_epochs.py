"""Epochs that are read in pieces: the same bits as whole ones, one compilation, and the next piece in time."""

import dataclasses

import numpy as np
import pytest

import lm_jax
from lm_jax.config import TrainConfig, from_flat
from lm_jax.data import corpora, encoding_cache
from lm_jax.training import epochs
from lm_jax.training.batch_source import BatchSource, one_a_step
from lm_jax.training.devices import ONE_DEVICE
from lm_jax.training.epochs import Epochs, tokens_that_fit
from tests.runs.toy import assert_equal_runs, saved_arrays, toy_config, write_corpus


def source(read, steps=7, piece=3):
    """Seven batches in pieces of three, which are noted when they are read."""

    def of(number, place):
        first = place // piece * piece
        read.append((number, first))
        return np.array([100 * number + first]), min(first + piece, steps)

    return BatchSource(steps, lambda number: np.array([number]), None, one_a_step(steps), None, 1, piece=of)


def test_the_next_piece_is_read_while_one_is_worked_on():
    read = []
    held = Epochs(source(read), ONE_DEVICE)
    for number in (0, 1):
        for place in range(7):
            arrays, until = held.at(number, place)
            assert int(arrays[0]) == 100 * number + place // 3 * 3 and until == min(place // 3 * 3 + 3, 7)
    held._next.result()
    assert read == [(0, 0), (0, 3), (0, 6), (1, 0), (1, 3), (1, 6), (2, 0)]  # each once, the next one ahead
    arrays, until = held.at(0, 4)  # back, as after a rollback
    assert int(arrays[0]) == 3 and until == 6


def test_a_piece_that_cannot_be_read_is_an_error_where_it_is_needed():
    def of(number, place):
        if place:
            raise OSError("the disk is gone")
        return np.zeros(1), 1

    held = Epochs(source([])._replace(piece=of), ONE_DEVICE)
    held.at(0, 0)
    with pytest.raises(OSError, match="the disk is gone"):
        held.at(0, 1)


def test_without_pieces_an_epoch_is_placed_once():
    read = []
    whole = source(read)._replace(piece=None, epoch=lambda number: read.append(number) or np.array([number]))
    held = Epochs(whole, ONE_DEVICE)
    assert [held.at(number, place)[1] for number in (0, 1) for place in (0, 6)] == [7] * 4 and read == [0, 1]


def test_a_quarter_of_the_memory_is_for_the_text(monkeypatch):
    assert tokens_that_fit(2**26, 1) is None and tokens_that_fit(2**26 + 1, 4) == 2**26  # a CPU does not say
    device = type("Device", (), {"memory_stats": lambda self: {"bytes_limit": 16_000}})()
    monkeypatch.setattr(epochs.jax, "local_devices", lambda: [device])
    assert tokens_that_fit(1000, 1) is None and tokens_that_fit(1001, 1) == 1000
    assert tokens_that_fit(2000, 2) is None and tokens_that_fit(10**6, 2) == 2000


CASES = {
    "stream": {"dropout": 0.2},
    "sentence": {"mode": "sentence", "cell": "gru"},
    "random lengths": {"random_bptt": True, "cell": "rnn"},
}


@pytest.fixture
def config(request, tmp_path, monkeypatch):
    """Of a run over several epochs, whose text is a map of a file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(corpora, "CACHE_FROM", 0)
    monkeypatch.setattr(encoding_cache, "MAPPED_FROM", 0)
    config = toy_config(write_corpus(tmp_path / "text"), steps=70, eval_every=50, **CASES[request.param])
    return from_flat(TrainConfig, {"decay_steps": 70}, config)


EACH = ["stream", *(pytest.param(case, marks=pytest.mark.slow) for case in list(CASES)[1:])]


@pytest.mark.parametrize("config", EACH, indirect=True)
def test_a_run_in_pieces_has_the_bits_of_a_whole_one(config, tmp_path):
    lm_jax.train(config, tmp_path / "whole")
    lm_jax.train(dataclasses.replace(config, device_tokens=300), tmp_path / "pieces")
    assert_equal_runs(tmp_path / "whole", tmp_path / "pieces", 70)


@pytest.mark.slow
@pytest.mark.parametrize("config", CASES, indirect=True)
def test_a_run_that_is_stopped_within_a_piece_goes_on_with_others(config, tmp_path):
    lm_jax.train(config, tmp_path / "whole")
    lm_jax.train(dataclasses.replace(config, device_tokens=400, steps=33), tmp_path / "stopped")
    lm_jax.resume(tmp_path / "stopped", dataclasses.replace(config, device_tokens=200))
    one, other = (saved_arrays(tmp_path / name, 70) for name in ("whole", "stopped"))
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array, err_msg=name)


@pytest.mark.parametrize("tokens", [95, 10**6])
def test_a_number_that_does_nothing_or_cannot_be_is_refused(tokens, tmp_path):
    config = toy_config(write_corpus(tmp_path / "text"), device_tokens=tokens)
    with pytest.raises(lm_jax.UserError, match=r"device_tokens must be at least 96 \(3 chunks .*got"):
        lm_jax.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
