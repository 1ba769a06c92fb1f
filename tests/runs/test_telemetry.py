"""Telemetry: what is measured is what the instruments say, and training is the same with it and without."""

import dataclasses
import json
import math
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.analysis import gradient_flow, lag_profile, lyapunov_exponents
from lm_jax.runs.folder import read_lines
from lm_jax.tasks.telemetry import build_telemetry
from tests.runs.toy import Events, assert_equal_runs, saved_arrays, toy_config, write_corpus


def telemetry_of(run):
    return [r for r in read_lines(run / "metrics.jsonl") if "telemetry" in r]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The small texts, with a validation text of more than the 256 tokens that are looked at."""
    folder = tmp_path_factory.mktemp("text")
    write_corpus(folder)
    (folder / "valid.txt").write_text((folder / "train.txt").read_text()[-400:])
    return str(folder)


@pytest.fixture(scope="module")
def measured(data, tmp_path_factory):
    """A run with telemetry at steps of no other interval, and what its listener was told."""
    events = Events()
    config = toy_config(data, telemetry_every=3, steps=10, decay_steps=20, dropout=0.3)
    run = lm_jax.train(config, tmp_path_factory.mktemp("measured") / "run", events)
    return config, run, events


def test_training_is_the_same_with_it_and_without(data, measured, tmp_path):
    run = measured[1]
    plain = lm_jax.train(toy_config(data, steps=10, decay_steps=20, dropout=0.3), tmp_path / "run")
    with_it, without = saved_arrays(run.folder, 10), saved_arrays(plain.folder, 10)
    for name, array in without.items():
        np.testing.assert_array_equal(with_it[name], array, err_msg=name)
    records = [r for r in read_lines(run.folder / "metrics.jsonl") if "telemetry" not in r]
    assert records == read_lines(plain.folder / "metrics.jsonl") and telemetry_of(plain.folder) == []
    assert not (plain.folder / "telemetry.png").exists()
    assert [r["step"] for r in telemetry_of(run.folder)] == [3, 6, 9]


def test_a_listener_is_told_what_is_logged(measured):
    _, run, events = measured
    assert (run.folder / "telemetry.png").read_bytes().startswith(b"\x89PNG")
    heard = [{"step": one.step, "telemetry": one.values} for (one,) in events.of("on_telemetry")]
    assert heard == telemetry_of(run.folder)
    for record in telemetry_of(run.folder):
        found = record["telemetry"]
        assert set(record) == {"step", "telemetry"}
        assert set(found) == {"max_lag", "log_median", "horizon_10", "horizon_1", "lyapunov", "grad_norm"}
        assert set(found["log_median"]) == {str(lag) for lag in (1, 2, 5, 10, 20, 40)} and found["max_lag"] == 63
        assert len(found["lyapunov"]) == 3 and max(found["lyapunov"]) < 1
        json.dumps(record, allow_nan=False)


@pytest.mark.slow
def test_a_stopped_run_has_the_same_records(measured, tmp_path):
    """Also where the stop comes between two measurements."""
    config, run, _ = measured
    lm_jax.train(config, tmp_path / "run", Events(stop_at=5))
    assert [r["step"] for r in telemetry_of(tmp_path / "run")] == [3]
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "telemetry": {}}\n')  # of a crash after the last checkpoint
    resumed = lm_jax.resume(tmp_path / "run")
    assert_equal_runs(resumed.folder, run.folder, step=10)


@pytest.mark.slow
def test_its_interval_may_change_when_a_run_goes_on(measured, tmp_path):
    config, run, _ = measured
    shutil.copytree(run.folder, tmp_path / "run")
    config = dataclasses.replace(config, steps=12, telemetry_every=4)
    lm_jax.resume(tmp_path / "run", config)
    assert [r["step"] for r in telemetry_of(tmp_path / "run")] == [3, 6, 9, 12]


def test_what_is_measured_is_what_the_instruments_say(data):
    """On the second 64 tokens of each half of the first 256, after the first 64."""
    config = toy_config(data, cell="rnn", layers=2)
    corpus = lm_jax.data.load_corpus(data)
    model = lm_jax.models.from_config(config.model, len(corpus.vocabulary))
    params = model.init(jax.random.key(0))
    telemetry = build_telemetry(config, corpus, model)(7, params, 2.5)
    found = telemetry.values
    texts = [np.append(corpus.vocabulary.eol_id, corpus.valid[start : start + 128]) for start in (0, 128)]
    texts = np.stack(texts, axis=1)
    carry = model.initial_carry(params, (2,))
    for tokens in texts[:64]:
        carry, _ = model.step(params, carry, tokens)
    profile = lag_profile(gradient_flow(model, params, texts[64:], carry=carry))
    assert found["max_lag"] == 63 and found["grad_norm"] == 2.5
    assert (found["horizon_10"], found["horizon_1"]) == (profile.horizons[0.1], profile.horizons[0.01])
    for lag, log_median in found["log_median"].items():
        assert log_median == pytest.approx(profile.log_median[int(lag) - 1], abs=1e-3)
    exponents = lyapunov_exponents(model, params, texts[64:-1], count=3, carry=carry).mean(axis=0)
    np.testing.assert_allclose(found["lyapunov"], exponents, atol=1e-4)
    # a run that diverges is not stopped by a measurement
    broken = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), params)
    found = build_telemetry(config, corpus, model)(7, broken, math.nan).values
    nothing = {"log_median": {}, "horizon_10": None, "horizon_1": None, "lyapunov": [], "grad_norm": None}
    assert found == {"max_lag": 63, **nothing}


def test_bad_requests_leave_nothing_behind(data, tmp_path):
    window = toy_config(data, model="window", window=2, telemetry_every=5)
    able = "recurrent, attention, classify, tag, translate"
    with pytest.raises(UserError, match=f"telemetry_every is for the tasks {able}, .* window-2 1x8, got 5"):
        lm_jax.train(window, tmp_path / "run")
    with pytest.raises(UserError, match="telemetry_every must be a whole number of at least 1, got 0"):
        lm_jax.train(toy_config(data, telemetry_every=0), tmp_path / "run")
    corpus = lm_jax.data.load_corpus(data)
    with pytest.raises(UserError, match="telemetry needs a validation text of at least two tokens, got 1"):
        build_telemetry(toy_config(data), dataclasses.replace(corpus, valid=corpus.valid[:1]), None)
    assert not (tmp_path / "run").exists()
