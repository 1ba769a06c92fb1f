"""Failures of the machine as one line: no JAX, no memory, no home; caches where there is a folder for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lm_jax.cache_folder import cache_folder
from lm_jax.cli import main as entry
from lm_jax.cli.failures import memory_failure
from lm_jax.data import load_corpus
from lm_jax.machine.compile_cache import compiled_folder


def raising(monkeypatch, error):
    def run(argv):
        raise error

    monkeypatch.setattr(entry, "_run", run)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.\nBFC ..."),
            "Out of memory allocating 123",
        ),
        (RuntimeError("INTERNAL: x\nRESOURCE_EXHAUSTED: y"), "RESOURCE_EXHAUSTED: y"),
        (MemoryError(), "no more"),
        (ValueError("wrapped"), "Out of memory"),
    ],
)
@pytest.mark.parametrize(("verb", "advice"), [("train", "lower --batch-size, --bptt"), ("score", "a shorter text")])
def test_memory_that_is_used_up_is_one_line(monkeypatch, capsys, error, reason, verb, advice):
    if str(error) == "wrapped":
        error.__cause__ = RuntimeError("Out of memory: killed")
    raising(monkeypatch, error)
    with pytest.raises(SystemExit) as ended:
        entry.main([verb])
    err = capsys.readouterr().err
    assert ended.value.code == 1 and err.count("\n") == 1 and "Traceback" not in err
    assert err.startswith("error: the machine must have the memory") and reason in err and advice in err


def test_other_errors_and_debug_keep_their_traceback(monkeypatch):
    assert memory_failure(RuntimeError("INVALID_ARGUMENT"), True) is None
    raising(monkeypatch, RuntimeError("INVALID_ARGUMENT"))
    with pytest.raises(RuntimeError, match="INVALID_ARGUMENT"):
        entry.main(["train"])
    raising(monkeypatch, MemoryError())
    with pytest.raises(MemoryError):
        entry.main(["train", "--debug"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"), [("JAX_PLATFORMS", "cuda"), ("JAX_PLATFORMS", "nonsense"), ("JAX_PLATFORM_NAME", "gpu")]
)
def test_a_platform_that_is_not_there_is_one_line(tmp_path, name, value):
    command = [sys.executable, "-m", "lm_jax.cli.main", "train", "--steps", "1", "--run", str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, name: value})
    assert ended.returncode == 2 and ended.stderr.startswith("error: JAX must start: ")
    assert ended.stderr.count("\n") == 1 and f"({name}={value})" in ended.stderr and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JAX_ENABLE_X64", "maybe"),
        pytest.param("JAX_DEFAULT_PRNG_IMPL", "foo", marks=pytest.mark.slow),
        pytest.param("JAX_DEFAULT_MATMUL_PRECISION", "foo", marks=pytest.mark.slow),
    ],
)
def test_a_variable_of_jax_with_another_value_is_one_line(tmp_path, name, value):
    command = [sys.executable, "-m", "lm_jax.cli.main", "train", "--steps", "1", "--run", str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, name: value})
    assert ended.returncode == 2 and ended.stderr.startswith("error: JAX must know the values of its variables, got: ")
    assert ended.stderr.count("\n") == 1 and value in ended.stderr and not (tmp_path / "run").exists()


@pytest.fixture
def no_home(monkeypatch):
    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", fail)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)


@pytest.mark.parametrize("xdg", ["", "relative", None])
def test_without_a_home_there_are_no_caches(no_home, monkeypatch, tmp_path, xdg):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if xdg is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    monkeypatch.setattr("lm_jax.data.corpora.CACHE_FROM", 10)
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("the cat sees\n" * 40)
    assert cache_folder() is None and compiled_folder() is None
    assert len(load_corpus("text.txt", "word").train) > 100
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_the_named_cache_is_used_without_a_home(no_home, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled_folder() == tmp_path / "lm_jax/compiled"


def test_a_tilde_without_a_home_is_one_line(monkeypatch, capsys):
    raising(monkeypatch, RuntimeError("Could not determine home directory."))
    with pytest.raises(SystemExit) as ended:
        entry.main(["score"])
    assert ended.value.code == 2 and "needs a home folder" in capsys.readouterr().err
