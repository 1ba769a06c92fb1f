"""One run in several processes, on the loopback network."""

import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.cli.dead_peers import ANOTHER_DIED
from lm_jax.cli.network import NetworkArguments
from lm_jax.runs.folder import read_lines
from tests.runs.toy import saved_arrays, write_corpus


LM_JAX = [sys.executable, "-c", "from lm_jax.cli.main import main; main()"]
SMALL = "train --data text --hidden-size 8 --embedding-size 4 --batch-size 8 --bptt 8 --dropout 0.3 --averaging ema"
SMALL += " --decay-steps 30 --log-every 1 --eval-every 10"

REFUSED = {
    "no port": (("host", 2, 0), "coordinator must be HOST:PORT or auto, got 'host'"),
    "no numbers": (("host:1",), "coordinator must go with processes and process_id, got None and None"),
    "no id": (("host:1", 2), "coordinator must go with processes and process_id, got 2 and None"),
    "id": (("host:1", 2, 2), "process_id must be from 0 to 1, got 2"),
    "count": (("host:1", 0, 0), "processes must be a whole number of at least 1, got 0"),
    "auto": (("auto", None, 1), "processes and process_id are found by coordinator auto, got None and 1"),
    "patience": (("host:1", 2, 0, 0), "heartbeat_timeout must be a whole number of at least 1, got 0"),
}


@pytest.mark.parametrize(("settings", "message"), REFUSED.values(), ids=REFUSED)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        lm_jax.training.processes.connect(*settings)


def test_processes_without_a_coordinator_are_refused():
    with pytest.raises(UserError, match="must go with --coordinator HOST:PORT, got --processes 2 alone"):
        NetworkArguments(processes=2).check()


NATIVE = """W1121 20:12:30.979641    4053 preemption_sync_manager.cc:149] Failed to retrieve preemption notice
E1121 18:24:02.920425   13686 coordination_service.cc:1549] Use error polling to propagate the error
1
F1121 18:24:02.921679   1 client.h:80] Terminating process because the JAX distributed service detected fatal errors.
*** Check failure stack trace: ***
"""


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a note\n" + NATIVE, f"a note\nerror: {ANOTHER_DIED}\n"),
        ("".join(NATIVE.splitlines(keepends=True)[:3]), "".join(NATIVE.splitlines(keepends=True)[:3])),
        ("error: mine\n" + NATIVE, "error: mine\n"),
        ("a note\nand half a line", "a note\nand half a line"),
    ],
    ids=["another died", "another complaint", "our own words", "nothing"],
)
def test_what_c_says_becomes_one_line(said, shown):
    script = (
        f"import os\nfrom lm_jax.cli.dead_peers import *\nreport_deaths()\nos.write(2, {said.encode()!r})\nos.abort()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGABRT and done.stderr == shown


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder to run in, with a text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    write_corpus(tmp_path / "text")


def start(words, devices):
    """The command in a process that has so many devices."""
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        [*LM_JAX, *words.split()], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


def start_two(words, heartbeat_timeout=900):
    """Two processes of two devices each, that train one run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words += f" --coordinator 127.0.0.1:{port} --processes 2 --heartbeat-timeout {heartbeat_timeout}"
    return [start(f"{words} --process-id {number}", devices=2) for number in (0, 1)]


def finish(*processes):
    """What they print, once all are done without an error."""
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    return [out for out, _ in said]


def losses(run):
    """By step, of training and of validations."""
    records = read_lines(lm_jax.runs.folder.RunFolder(run).metrics)
    return {(r["step"], name): r[name] for r in records for name in ("loss", "valid_loss") if name in r}


def assert_same_losses(one, other):
    expected, found = losses(one), losses(other)
    assert expected.keys() == found.keys() and len(expected) == 33
    for key, loss in expected.items():
        assert found[key] == pytest.approx(loss, abs=1e-5), key


@pytest.mark.slow
def test_two_processes_train_the_run_of_one(desk, tmp_path):
    """And stop, and go on: in two processes again, and in one."""
    finish(start(f"{SMALL} --steps 30 --run one", devices=1))
    first, second = finish(*start_two(f"{SMALL} --steps 10 --devices 4 --run two"))
    assert "cpu x 4 in 2 processes" in first and "next: lm-jax generate" in first
    assert "cpu" not in second and "step" not in second  # one process speaks for both
    first, _ = finish(*start_two("train --resume two --steps 20 --vocab-shards 2"))
    assert "resumed after step 10" in first and "cpu x 4, 2 for the vocabulary in 2 processes" in first
    finish(start("train --resume two --steps 30 --devices 1 --vocab-shards 1", devices=1))
    assert_same_losses(tmp_path / "one", tmp_path / "two")
    one, two = (saved_arrays(tmp_path / run, 30) for run in ("one", "two"))
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=0, atol=1e-3, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_when_a_process_dies_the_other_ends_and_the_run_goes_on(number, desk, tmp_path):
    processes = start_two(f"{SMALL} --steps 3000 --checkpoint-every 5 --devices 4 --run run", heartbeat_timeout=15)
    for _ in range(3000):
        if (tmp_path / "run" / "states" / "20").is_dir():
            break
        time.sleep(0.05)
    os.kill(processes[number].pid, signal.SIGKILL)
    processes[number].communicate()
    _, err = processes[1 - number].communicate(timeout=60)  # not a hang
    assert processes[1 - number].returncode != 0
    assert err.startswith(f"error: {ANOTHER_DIED}") and err.count("\n") == 1, err
    newest = max(int(path.name) for path in (tmp_path / "run" / "states").iterdir() if path.name.isdigit())
    (out,) = finish(start(f"train --resume run --steps {newest + 5} --devices 1", devices=1))
    assert "resumed after step" in out and "next: lm-jax generate" in out


@pytest.mark.slow
def test_what_one_process_refuses_both_refuse(desk, tmp_path):
    """The number of devices, which both know, and a folder in use, which one looks at."""
    for words in ("--devices 2 --run run", "--devices 4 --run text"):
        for process in start_two(f"{SMALL} {words}"):
            _, err = process.communicate(timeout=120)
            assert process.returncode != 0 and err.startswith("error: "), err
    assert not (tmp_path / "run").exists()
