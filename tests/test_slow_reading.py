"""A real training that saves at every step, beside a process that reads its folder all the time."""

import subprocess
import sys
import warnings

import pytest

import lm_jax
from lm_jax import UserError
from tests.runs.toy import assert_equal_runs, write_corpus


@pytest.mark.slow
def test_a_training_that_is_read_all_the_time_is_the_run_that_was_left_alone(tmp_path):
    text = write_corpus(tmp_path / "text")
    words = f"--data {text} --hidden-size 64 --batch-size 4 --bptt 8 --steps 40 --checkpoint-every 1".split()
    command = [sys.executable, "-m", "lm_jax.cli.main", "train", *words, "--run"]
    subprocess.run([*command, str(tmp_path / "alone")], check=True, capture_output=True)
    read = 0
    with subprocess.Popen([*command, str(tmp_path / "run")], stdout=subprocess.DEVNULL) as training:
        while training.poll() is None:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", UserWarning)
                    lm_jax.load(tmp_path / "run")
                read += 1
            except UserError as error:
                assert "once it has a checkpoint" in str(error) or "a run folder holds" in str(error)
    assert training.returncode == 0 and read > 3
    assert_equal_runs(tmp_path / "run", tmp_path / "alone", step=40)
