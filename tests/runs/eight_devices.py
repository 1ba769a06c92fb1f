"""Runs on 8 simulated devices; tests/runs/test_devices.py starts pytest on this file in a process that has them."""

import dataclasses
import functools
import json
import logging
import re

import jax
import numpy as np
import pytest

import lm_jax
from experiments.benchmarks.collectives import bytes_of, moved
from lm_jax.cells import lstm
from lm_jax.cells.engines import selection
from lm_jax.config import TrainConfig, from_flat
from lm_jax.data import load_corpus
from lm_jax.models import recurrent_lm
from lm_jax.queries import evaluate
from lm_jax.runs.folder import read_lines
from lm_jax.runs.setup import set_up
from lm_jax.tasks.recurrent import RECURRENT
from lm_jax.training.devices import find_devices
from tests.runs.toy import Events, assert_equal_runs, saved_arrays, toy_config, write_corpus


CASES = {
    "dropout": {"dropout": 0.3},
    "sentences in parts": {
        "mode": "sentence",
        "cell": "gru",
        "layers": 2,
        "dropout": 0.3,
        "dropout_kind": "locked",
        "batch_size": 16,
        "accumulate": 2,
        "averaging": "ema",
    },
    "window": {"model": "window", "dropout": 0.2, "random_bptt": True},
    "vocabulary": {"vocab_shards": 2, "dropout_embedding": 0.2, "recurrence": "fused", "averaging": "ema"},
    "vocabulary, tied": {"vocab_shards": 2, "tied": True, "embedding_size": 8, "dropout": 0.2, "optimizer": "sgd"},
}


def losses(run):
    """Of all steps, and of the validations."""
    records = read_lines(run.folder / "metrics.jsonl")
    return np.array([r.get("loss", r.get("valid_loss")) for r in records if "loss" in r or "valid_loss" in r])


@pytest.fixture(scope="module", params=CASES)
def pair(request, tmp_path_factory):
    """The same run of 50 steps on one device and on eight: (config, folders, runs)."""
    folder = tmp_path_factory.mktemp("pair")
    settings = {"batch_size": 8, "steps": 50, "log_every": 1, "eval_every": 10, **CASES[request.param]}
    config = toy_config(write_corpus(folder / "text"), devices=settings.get("vocab_shards", 1), **settings)
    alone = dataclasses.replace(config, devices=1, vocab_shards=1)
    runs = {1: lm_jax.train(alone, folder / "1")}
    runs[8] = lm_jax.train(dataclasses.replace(config, devices=8), folder / "8")
    return config, folder, runs


def test_the_losses_are_those_of_one_device(pair):
    _, _, runs = pair
    assert len(losses(runs[1])) == 55  # with a validation every ten steps
    np.testing.assert_allclose(losses(runs[8]), losses(runs[1]), rtol=0, atol=1e-5)
    rows = [[row.cross_entropy for row in runs[n].results.closing.rows] for n in (1, 8)]
    np.testing.assert_allclose(*rows, rtol=0, atol=1e-5)
    one, eight = (saved_arrays(runs[n].folder, 50) for n in (1, 8))
    assert one.keys() == eight.keys()
    for name in one:
        np.testing.assert_allclose(eight[name], one[name], rtol=0, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("pair", ["dropout", "vocabulary"], indirect=True)
def test_a_run_moves_between_one_device_and_eight(pair, tmp_path):
    config, _, runs = pair
    config = from_flat(TrainConfig, {"decay_steps": 50}, config)
    for begins, ends in ((8, 1), (1, 8)):
        shards = {1: 1, 8: config.vocab_shards}
        begun = dataclasses.replace(config, devices=begins, vocab_shards=shards[begins])
        lm_jax.train(dataclasses.replace(begun, steps=25), tmp_path / str(begins))
        events = Events()
        ended = lm_jax.resume(
            tmp_path / str(begins),
            dataclasses.replace(begun, steps=50, devices=ends, vocab_shards=shards[ends]),
            events,
        )
        (start,) = events.of("on_start")[0]
        assert start.first_step == 25 and start.device.split(",")[0].endswith(f" x {ends}")
        assert json.loads((ended.folder / "config.json").read_text())["config"]["devices"] == ends
        by_step = {r["step"]: r["loss"] for r in read_lines(ended.folder / "metrics.jsonl") if "loss" in r}
        expected = {r["step"]: r["loss"] for r in read_lines(runs[1].folder / "metrics.jsonl") if "loss" in r}
        assert by_step.keys() == expected.keys()
        for step, loss in expected.items():
            assert loss == pytest.approx(by_step[step], abs=1e-5), (begins, step)


@pytest.mark.parametrize("pair", ["dropout"], indirect=True)
def test_what_is_loaded_lies_on_one_device(pair):
    _, _, runs = pair
    trained = lm_jax.load(runs[8].folder)
    assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves((trained.params, runs[8].params))} == {1}
    scored = evaluate(runs[8].folder, split="test").cross_entropy
    assert scored == pytest.approx(evaluate(runs[1].folder, split="test").cross_entropy, abs=1e-5)
    assert len(trained.generate("a ", 5)) == len("a ") + 5


def test_one_trace_and_one_compilation(tmp_path, caplog):
    """Reports, validations and checkpoints between the dispatches leave the state where it was."""
    config = toy_config(write_corpus(tmp_path / "text"), batch_size=16, devices=8, dropout=0.1, averaging="ntasgd")
    config = from_flat(TrainConfig, {"schedule": "plateau", "nonmono": 1}, config)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        lm_jax.train(dataclasses.replace(config, eval_every=2), tmp_path / "run")
    messages = [record.getMessage() for record in caplog.records if "train_steps" in record.getMessage()]
    assert sum("XLA compilation" in message for message in messages) == 1, messages
    assert sum("tracing" in message for message in messages) == 1, messages


def test_every_device_holds_its_part(tmp_path):
    """Before and after steps: rows of the batch, pieces of the vocabulary with their moments, all of the rest."""
    config = toy_config(write_corpus(tmp_path / "text"), batch_size=8, devices=8, vocab_shards=2, averaging="ema")
    setup = set_up(RECURRENT, config, load_corpus(config.data.data), 20, find_devices(8, 2))
    state = setup.create()
    streams = setup.devices.place_epoch(setup.batches.epoch(0))
    assert {shard.data.shape[1] for shard in streams.tokens.addressable_shards} == {2}
    for _ in range(2):
        moments = state.opt_state[1][0]
        for params in (state.params, state.average.params, moments.mu, moments.nu):
            assert shard_shapes(params.embedding) == {(3, 4)} and shard_shapes(params.w_out) == {(8, 3)}
            assert shard_shapes(params.b_out) == {(3,)} and shard_shapes(params.cell.w_h) == {(8, 32)}
        assert all(shard_shapes(leaf) == {(2, 8)} for leaf in jax.tree.leaves(state.carry))
        state = setup.train_steps(state, streams, 2)


@pytest.mark.parametrize("recurrence", ["scan", "fused"])
def test_nothing_of_the_batch_is_gathered(recurrence, tmp_path):
    """Devices add up what they found, of the vocabulary too; no device sees the rows of another."""
    config = toy_config(write_corpus(tmp_path / "text"), batch_size=8, devices=8, recurrence=recurrence)
    for shards in (1, 2):
        devices = find_devices(8, shards)
        setup = set_up(RECURRENT, config, load_corpus(config.data.data), 20, devices)
        with jax.set_mesh(devices.mesh):
            steps = setup.train_steps.__wrapped__
            lowered = steps.lower(setup.create(), devices.place_epoch(setup.batches.epoch(0)), 1)
        text = lowered.compile().as_text()
        moves = r" (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
        assert set(re.findall(moves, text)) == {"all-reduce"}


def compiled_steps(config, shards):
    """The text of the compiled training steps on eight devices, and the bytes of all parameters."""
    devices = find_devices(8, shards)
    setup = set_up(RECURRENT, config, load_corpus(config.data.data), 20, devices)
    state = setup.create()
    with jax.set_mesh(devices.mesh):
        steps = setup.train_steps.__wrapped__
        lowered = steps.lower(state, devices.place_epoch(setup.batches.epoch(0)), 1)
    return lowered.compile().as_text(), sum(leaf.nbytes for leaf in jax.tree.leaves(state.params))


def all_reduces(text):
    """The bytes that each all-reduce of a program adds up, wherever it stands."""
    found = re.findall(r" = (.*?) all-reduce(?:-start)?\(", text)
    return [bytes_of(shapes) for shapes in found]


@pytest.mark.parametrize("recurrence", ["auto", "fused", "scan"])
def test_all_gradients_are_added_up_together_once_a_step(recurrence, tmp_path, monkeypatch):
    """By the engine that auto is on many devices of any kind; `scan` adds up those of the weights at every time step.
    What is besides are a few numbers: the count of tokens, the loss, the norm."""
    monkeypatch.setattr(selection, "device_name", lambda: "a device that was not measured")
    config = toy_config(write_corpus(tmp_path / "text"), batch_size=8, devices=8, recurrence=recurrence, bptt=8)
    text, parameter_bytes = compiled_steps(config, 1)
    large = [size for size in all_reduces(text) if size > 64]
    times = moved(text)["all-reduce"]["times"]
    if recurrence == "scan":
        assert len(large) > 1 and times >= 8
    else:
        assert len(large) == 1 and parameter_bytes <= large[0] <= parameter_bytes + 64 and times <= 4


def test_no_device_holds_logits_of_the_whole_vocabulary():
    """Of 34 entries each has 17: no array has an axis of 34, be it [T, B, V] or another, but for the gradient of the
    embedding [V, E], to which any row of the batch may add any entry."""
    model = recurrent_lm(34, lstm(3, 4))
    params = jax.eval_shape(model.init, jax.random.key(0))
    devices = find_devices(8, 2).for_model(params, model.vocab_axes(params))
    shardings = jax.tree.map(devices._cut, devices.vocab_axes)
    placed = jax.tree.map(lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), params, shardings)
    rows = jax.NamedSharding(devices.mesh, jax.P(None, "data"))
    tokens = jax.ShapeDtypeStruct((5, 12), np.int32, sharding=rows)

    def loss(params, inputs, targets):
        return model.score(params, model.initial_carry(params, (12,)), inputs, targets)[1].sum()

    with jax.set_mesh(devices.mesh):
        text = jax.jit(jax.grad(loss)).lower(placed, tokens, tokens).compile().as_text()
    shapes = {tuple(map(int, found.split(","))) for found in re.findall(r"(?:f32|s32|bf16|pred)\[([\d,]+)\]", text)}
    assert any(17 in shape for shape in shapes)
    assert {shape for shape in shapes if 34 in shape} <= {(34, 3)}
    assert set(moved(text)) == {"all-reduce"}


@pytest.mark.parametrize("cutoffs", [(), (4, 7)], ids=["pieces", "clusters"])
def test_a_large_vocabulary(cutoffs):
    """Logits in pieces of time, some steps at a time, and an adaptive softmax: value and gradient of one device."""
    model = recurrent_lm(10, lstm(3, 4), **({"cutoffs": cutoffs} if cutoffs else {"logits_limit": 100}))
    params = model.init(jax.random.key(0))
    tokens = np.random.default_rng(0).integers(0, 10, (2, 5, 8))
    carry = model.initial_carry(params, (8,))

    def loss(params, inputs, targets):
        return model.score(params, carry, inputs, targets)[1].sum()

    gradient = jax.value_and_grad(loss)
    expected = gradient(params, *tokens)
    mesh = find_devices(8, 2).mesh
    placed = jax.device_put(tokens, jax.NamedSharding(mesh, jax.P(None, None, "data")))
    with jax.set_mesh(mesh):
        found = jax.jit(gradient)(params, *placed)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), found, expected)


def test_epochs_in_pieces_have_the_bits_of_whole_ones(tmp_path):
    """Each device has its rows of a piece; where the piece begins is the same for all."""
    config = toy_config(write_corpus(tmp_path / "text"), batch_size=8, devices=8, steps=40, eval_every=40)
    lm_jax.train(config, tmp_path / "whole")
    lm_jax.train(dataclasses.replace(config, device_tokens=50), tmp_path / "pieces")
    assert_equal_runs(tmp_path / "whole", tmp_path / "pieces", 40)


def shard_shapes(array):
    """Of the pieces that the devices hold."""
    return {shard.data.shape for shard in array.addressable_shards}


def test_a_vocabulary_that_does_not_divide(tmp_path):
    config = toy_config(write_corpus(tmp_path / "text"), batch_size=8, devices=8, vocab_shards=4)
    with pytest.raises(lm_jax.UserError, match=r"must divide the 6 entries .* got 4; .* max_vocab=4 makes it so$"):
        lm_jax.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_devices_than_there_are(tmp_path):
    config = toy_config(write_corpus(tmp_path / "text"), batch_size=18, devices=9)
    with pytest.raises(lm_jax.UserError, match=r"at most the number of devices that JAX sees, 8 \(cpu\), got 9; "):
        lm_jax.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
