"""Two at once: the second process that would write into a run folder is refused, and the first goes on."""

import os
import socket
import subprocess
import sys

import pytest

import lm_jax
from lm_jax import DataConfig, NGramConfig, UserError
from lm_jax.cli.main import in_flags
from lm_jax.queries import prune_run
from lm_jax.runs.folder import LOCK
from lm_jax.runs.lock import locked
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus


HOLD = """
import sys, time
from pathlib import Path
from lm_jax.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of the folder `run`."""
    (tmp_path / "run").mkdir(exist_ok=True)
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


def refusal(holder):
    return f"by one process at a time, got .*run, which process {holder.pid} on {socket.gethostname()} is writing"


def test_the_second_is_told_who_the_first_is(holder, tmp_path):
    for _ in range(2):
        with pytest.raises(UserError, match=refusal(holder)), locked(tmp_path / "run"):
            pytest.fail("two at once")
    assert holder.poll() is None and os.listdir(tmp_path / "run") == [LOCK]


def test_a_crash_releases_the_lock(holder, tmp_path):
    holder.kill()
    holder.wait()
    assert os.listdir(tmp_path / "run") == [LOCK]
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK).read_text() == f"process {os.getpid()} on {socket.gethostname()}"
    assert not os.listdir(tmp_path / "run")


def test_a_lock_that_its_holder_deletes_while_it_is_waited_for_is_none(tmp_path, monkeypatch):
    """The file was opened before and locked after its deletion: the next one that comes would lock another."""
    import fcntl

    flock, first = fcntl.flock, [True]

    def late(number, operation):
        if first.pop() if first else False:
            (tmp_path / LOCK).unlink()
        return flock(number, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(tmp_path):
        assert (tmp_path / LOCK).exists()
        with pytest.raises(UserError, match="by one process at a time"), locked(tmp_path):
            pytest.fail("two at once")


def test_train_ngram_train_prune_and_resume_are_refused_before_they_write(holder, tmp_path):
    text = write_corpus(tmp_path / "text")
    counts = NGramConfig(DataConfig(text), order=2)
    lm_jax.train(counts, tmp_path / "counts")
    begun = untrained(toy_config(text), tmp_path / "begun")
    refused = (
        lambda: lm_jax.train(toy_config(text), tmp_path / "run"),
        lambda: lm_jax.train(counts, tmp_path / "run"),
        lambda: prune_run(tmp_path / "counts", 1e-3, tmp_path / "run"),
    )
    for action in refused:
        with pytest.raises(UserError, match=refusal(holder)):
            action()
    assert os.listdir(tmp_path / "run") == [LOCK]
    before = {path: path.stat().st_mtime_ns for path in begun.rglob("*") if path.name != LOCK}
    with locked(begun), pytest.raises(UserError, match="by one process at a time"):
        lm_jax.resume(begun)
    assert {path: path.stat().st_mtime_ns for path in begun.rglob("*") if path.name != LOCK} == before


def test_a_folder_that_cannot_be_written_is_one_line_that_says_how_to_go_on(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    message = f"can be written, got {tmp_path}: Read-only file system; .*: resume {tmp_path} with run NEW"
    with pytest.raises(UserError, match=message) as caught, locked(tmp_path):
        pytest.fail("written")
    assert in_flags(caught.value).endswith(f"--resume {tmp_path} with --run NEW")


def test_a_lock_is_not_written_through_a_link(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="can be written"), locked(tmp_path / "run"):
        pytest.fail("written")
    assert not (tmp_path / "elsewhere").exists()
