"""Runs whose weights explode: they go back to good states, the same after a resume, and end with a model of use."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.data import load_corpus
from lm_jax.runs import setup
from lm_jax.runs.folder import read_lines
from lm_jax.runs.setup import set_up
from lm_jax.tasks import TASKS, task_of
from lm_jax.tasks.recurrent import RECURRENT
from lm_jax.training import recovery
from lm_jax.training.devices import find_devices
from lm_jax.training.losses import cross_entropy
from tests.runs.toy import Events, assert_equal_runs, toy_config, write_corpus


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("data") / "text")


def exploding(data, **changes):
    """A relu RNN with learning rates that it cannot bear, without clipping."""
    wild = {"cell": "rnn", "nonlinearity": "relu", "optimizer": "sgd", "learning_rate": 30.0, "clip": None}
    return toy_config(data, **wild, steps=48, checkpoint_every=3, **changes)


def backs_of(run):
    lines = [line for line in read_lines(run / "metrics.jsonl") if "incident" in line]
    return [(line["step"], line["incident"]["back_to"]) for line in lines if line["incident"]["back_to"] is not None]


def test_weights_that_explode_are_gone_back_from_and_a_resume_does_the_same(data, tmp_path):
    straight = lm_jax.train(exploding(data), tmp_path / "straight")
    backs = backs_of(straight.folder)
    assert backs and straight.results.step == 48
    valid = [line["valid_loss"] for line in read_lines(straight.folder / "metrics.jsonl") if "valid_loss" in line]
    assert valid[-1] < math.log(6) + 0.5 and list(straight.folder.glob("incident-*/show.py"))
    stop_at = backs[0][0]
    stopped = lm_jax.train(exploding(data), tmp_path / "run", Events(stop_at))
    assert stopped.results.stopped
    history = json.dumps(backs_of(stopped.folder))
    resumed = lm_jax.resume(tmp_path / "run")
    assert_equal_runs(resumed.folder, straight.folder, step=48)
    assert backs_of(resumed.folder) == backs and history == json.dumps(backs[: len(json.loads(history))])


@pytest.mark.slow
def test_in_pieces_weights_that_explode_are_gone_back_from_to_the_same(data, tmp_path):
    """Out of a piece into the one before it, and after a stop within a piece, with pieces of another length."""
    config = exploding(data)
    whole = lm_jax.train(config, tmp_path / "whole")
    pieces = lm_jax.train(dataclasses.replace(config, device_tokens=300), tmp_path / "pieces")
    assert_equal_runs(pieces.folder, whole.folder, step=48)
    backs = backs_of(whole.folder)
    assert backs and backs_of(pieces.folder) == backs
    assert any((step - 1) // 3 > to // 3 for step, to in backs)  # 300 tokens are three pieces of three chunks
    stop_at = next(step for step, _ in backs if step % 3)
    stopped = lm_jax.train(dataclasses.replace(config, device_tokens=300), tmp_path / "run", Events(stop_at))
    assert stopped.results.stopped
    resumed = lm_jax.resume(tmp_path / "run", dataclasses.replace(config, device_tokens=200))
    assert_equal_runs(resumed.folder, whole.folder, step=48)


@pytest.mark.slow
def test_in_pieces_a_spike_is_gone_back_from_to_the_same(data, tmp_path, monkeypatch):
    """The batch of step 17 is a spike; the good state is of step 12, two pieces before."""
    for module in (recovery, setup):
        monkeypatch.setattr(module, "SPIKE_AFTER", 10)
    config = toy_config(data, on_spike="rollback", steps=24, checkpoint_every=6, eval_every=24)
    text = setup.set_up(RECURRENT, config, load_corpus(data), 20, find_devices(1, 1)).batches
    odd = text.epoch(0).tokens[16 * 8 : 17 * 8]

    def loss(settings, model):
        plain = cross_entropy(model)

        def of_batch(params, carry, chunk, key, whole=None):
            value, (carry, tally) = plain(params, carry, chunk, key, whole)
            times = jnp.where(jnp.all(chunk.inputs == odd), 6.0, 1.0)
            return value * times, (carry, tally._replace(nll=tally.nll * times))

        return of_batch

    monkeypatch.setitem(TASKS, "recurrent", TASKS["recurrent"]._replace(loss=loss))
    whole = lm_jax.train(config, tmp_path / "whole")
    pieces = lm_jax.train(dataclasses.replace(config, device_tokens=200), tmp_path / "pieces")
    assert backs_of(whole.folder) == [(17, 12)]
    assert_equal_runs(pieces.folder, whole.folder, step=24)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"on_spike": "rollback"}, "on_spike=rollback needs more than 200 steps, .* got 20"),
        ({"on_nonfinite": "stop", "good_states": 3}, "good_states needs on_nonfinite other than stop, .* got 3"),
        ({"good_states": 0}, "good_states must be"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(data, changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        lm_jax.train(toy_config(data, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_processes_cannot_go_back_from_spikes(data, monkeypatch):
    config = toy_config(data, on_spike="rollback", steps=300)
    task = task_of(config)
    corpus = task.load(config, None)
    set_up(task, config, corpus)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(UserError, match="needs one process, which has the whole state, got 2 processes"):
        set_up(task, config, corpus)
