"""A checkpoint that the machine refuses to write: one error with the reason, and no half of a folder."""

import resource
import signal

import numpy as np
import pytest

from lm_jax.training.arrays import save_arrays


ARRAYS = {"params": {"w": np.random.default_rng(0).normal(size=100_000)}}


@pytest.fixture
def small_files():
    """A limit of 50 kB on the size of a file, as a quota or a full disk would be."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_what_the_machine_refuses_is_one_line(tmp_path, small_files, capfd, caplog):
    with pytest.raises(OSError, match=r"Failed writing.*File too large; checkpoints that were saved before") as caught:
        save_arrays(tmp_path / "new", ARRAYS, {})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists() and not caplog.records and "Traceback" not in capfd.readouterr().err


def test_another_mistake_is_no_refusal(tmp_path, monkeypatch):
    def save(*_, **__):
        raise TypeError("no array")

    monkeypatch.setattr("orbax.checkpoint.v1.save_checkpointables", save)
    with pytest.raises(TypeError, match="no array"):
        save_arrays(tmp_path / "new", ARRAYS, {})


def test_the_first_cause_that_is_a_refusal_is_told(tmp_path, monkeypatch):
    def save(*_, **__):
        try:
            raise PermissionError(13, "Permission denied")
        except PermissionError as error:
            raise RuntimeError("wrapped") from error

    monkeypatch.setattr("orbax.checkpoint.v1.save_checkpointables", save)
    with pytest.raises(OSError, match=r"Permission denied; checkpoints that were saved before"):
        save_arrays(tmp_path / "new", ARRAYS, {})
