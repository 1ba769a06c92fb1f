"""Runs on many devices: what is refused, and a process with eight of them."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import lm_jax
from lm_jax.runs.folder import RunFolder
from lm_jax.tasks.recurrent import RECURRENT
from tests.runs.toy import toy_config, write_corpus


REFUSED = {
    "batch": ({"batch_size": 6, "devices": 4}, "devices must divide batch_size 6, got 4"),
    "parts": ({"batch_size": 8, "accumulate": 4, "devices": 4}, "must divide batch_size 8 / accumulate 4, got 4"),
    "shards": ({"batch_size": 8, "devices": 4, "vocab_shards": 3}, "vocab_shards must divide devices 4, got 3"),
    "rows": ({"batch_size": 7, "devices": 4, "vocab_shards": 2}, "devices / vocab_shards 2 must divide .* 7, got 2"),
    "none": ({"devices": 0}, "devices must be a whole number of at least 1, got 0"),
    "too many": ({"batch_size": 64, "devices": 64}, "got 64; to try it on a CPU, set JAX_NUM_CPU_DEVICES=64"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_devices_that_do_not_fit_are_refused_before_anything_is_written(changes, message, tmp_path):
    config = toy_config(str(tmp_path / "no text is read"), **changes)
    with pytest.raises(lm_jax.UserError, match=message) as caught:
        lm_jax.train(config, tmp_path / "run")
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_kernels_for_one_device_are_refused_on_several():
    config = toy_config("text", batch_size=8, devices=2, recurrence="pallas")
    with pytest.raises(lm_jax.UserError, match="recurrence must be another than pallas on several devices, got pallas"):
        RECURRENT.model(config, None)


def test_a_resumed_run_is_refused_devices_that_are_not_there(tmp_path):
    config, run = toy_config(write_corpus(tmp_path / "text"), batch_size=64), tmp_path / "run"
    corpus = lm_jax.data.load_corpus(config.data.data)
    RunFolder(run).create(config, corpus.vocabulary, {"decay_horizon": 20, "corpus": corpus.record})
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    changed = lm_jax.TrainConfig(**{**vars(config), "devices": 64})
    with pytest.raises(lm_jax.UserError, match=f"JAX sees, {jax.device_count()}"):
        lm_jax.resume(run, changed)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_eight_devices():
    """A process has as many devices as it began with."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*command, "tests/runs/eight_devices.py"],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "8"},
    )
    assert done.returncode == 0 and " skipped" not in done.stdout, done.stdout
