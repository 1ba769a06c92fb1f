"""Stopped, killed and resumed in another process: bit for bit the run that was never stopped."""

import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from lm_jax.cli.main import main
from tests.runs.toy import assert_equal_runs, write_corpus


pytestmark = pytest.mark.slow

LM_JAX = [sys.executable, "-c", "from lm_jax.cli.main import main; main()"]
SMALL = "--hidden-size 8 --embedding-size 4 --batch-size 4 --bptt 8 --log-every 3 --eval-every 4"
# every optimizer under every schedule; what the rest is made of goes round
OPTIMIZERS = ("sgd --lr 1", "adam --lr 0.01", "adamw --lr 0.01 --weight-decay 0.1")
SCHEDULES = ("constant", "cosine --warmup-steps 3 --decay-steps 20", "plateau --decay-factor 0.5")
DROPOUTS = ("--dropout 0.3 --dropout-kind elementwise", "--dropout 0.3 --dropout-kind locked")
MODES = ("--mode stream", "--mode sentence")
CELLS = ("--cell lstm", "--cell gru --layers 2 --connection highway", "--cell rnn --layers 2 --connection dense")
REST = [*itertools.product(DROPOUTS, MODES, CELLS)]
CASES = [
    " ".join([f"--optimizer {optimizer} --schedule {schedule}", *REST[(5 * number) % len(REST)]])
    for number, (optimizer, schedule) in enumerate(itertools.product(OPTIMIZERS, SCHEDULES))
]


def test_the_cases_have_every_kind_of_dropout_and_mode_with_every_optimizer():
    for optimizer, part in itertools.product(OPTIMIZERS, (*DROPOUTS, *MODES, *CELLS)):
        assert any(optimizer in case and part in case for case in CASES), (optimizer, part)


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch):
    """A folder to run in, with a text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    write_corpus(tmp_path / "text")


def start(*words, **options):
    """The command in a process of its own."""
    return subprocess.Popen([*LM_JAX, *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def finish(*words):
    """The command in a process of its own, to its end; returns what it printed."""
    process = start(*words)
    out = process.communicate()[0]
    assert process.returncode == 0, out
    return out


@pytest.mark.parametrize("case", CASES)
def test_ten_steps_and_ten_in_a_new_process_are_twenty(case):
    words = ["train", "--data", "text", *SMALL.split(), *case.split()]
    main([*words, "--run", "straight", "--steps", "20"])
    main([*words, "--run", "resumed", "--steps", "10"])
    assert "resumed after step 10" in finish("train", "--resume", "resumed", "--steps", "20")
    assert_equal_runs("resumed", "straight", step=20)


def test_a_transformer_goes_on_bit_for_bit_and_generates(capsys):
    """Its cache is part of what a checkpoint holds."""
    words = f"train --data text {SMALL.replace('--embedding-size 4', '')} --lr 0.01 --schedule constant".split()
    words += "--model attention --heads 2 --kv-heads 1 --context 12 --dropout 0.2 --averaging ema".split()
    main([*words, "--run", "straight", "--steps", "20"])
    main([*words, "--run", "resumed", "--steps", "10"])
    assert "resumed after step 10" in finish("train", "--resume", "resumed", "--steps", "20")
    assert_equal_runs("resumed", "straight", step=20)
    capsys.readouterr()
    main(["generate", "resumed", "--prompt", "ca", "--tokens", "12"])
    assert capsys.readouterr().out.strip()
    main(["gradients", "resumed", "--length", "24", "--texts", "2", "--max-lag", "20"])
    assert "keys" in capsys.readouterr().out


# --- stopped at no step in particular ------------------------------------------------------------------------------

LONG = ["train", "--data", "text", *SMALL.split(), "--dropout", "0.3", "--steps", "300", "--checkpoint-every", "5"]
LONG += ["--eval-every", "50", "--log-every", "10", "--decay-steps", "20"]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The long run, never stopped."""
    folder = tmp_path_factory.mktemp("straight")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("JAX_COMPILATION_CACHE_DIR", "cache")
        write_corpus(folder / "text")
        main([*LONG, "--run", "run"])
    return folder / "run"


def newest(run):
    """The last step that there is a complete checkpoint of; 0 before the first."""
    names = os.listdir(f"{run}/states") if os.path.isdir(f"{run}/states") else []
    return max((int(name) for name in names if name.isdigit()), default=0)


def wait_for_step(run, step):
    """Returns once a checkpoint of that step or a later one is complete."""
    for _ in range(6000):
        if newest(run) >= step:
            return
        time.sleep(0.02)
    raise AssertionError(f"no checkpoint of step {step}")


def test_a_killed_run_goes_on(straight):
    killed = start(*LONG, "--run", "killed")
    for step in (20, 100):  # killed, resumed, killed again
        wait_for_step("killed", step)
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert step <= newest("killed") < 300
        killed = start("train", "--resume", "killed")
    out = killed.communicate()[0]
    assert killed.returncode == 0 and "resumed after step" in out, out
    assert_equal_runs("killed", straight, step=300)


def test_a_killed_run_goes_on_from_its_mirror(straight):
    """Killed at once after a checkpoint, while it is copied; then the machine is gone."""
    os.mkdir("drive")
    killed = start(*LONG, "--run", "checkpoints/killed", "--mirror", "drive")
    for step in (20, 60, 100, 140):
        wait_for_step("drive/killed", step)
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert step <= newest("drive/killed") < 300
        shutil.rmtree("checkpoints")
        killed = start("train", "--resume", "drive/killed", "--mirror", "drive")
    out = killed.communicate()[0]
    assert killed.returncode == 0 and "resumed after step" in out, out
    for folder in ("checkpoints/killed", "drive/killed"):
        assert_equal_runs(folder, straight, step=300)
        assert sorted(os.listdir(f"{folder}/states")) == sorted(os.listdir(straight / "states"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["ctrl-c", "sigterm", "hang up"])
def test_an_interrupted_run_saves_and_says_how_to_go_on(straight, number):
    before = signal.signal(number, signal.SIG_DFL)  # a process begins with what nohup or a shell had it ignore
    process = start(*LONG, "--run", "stopped")
    signal.signal(number, before)
    wait_for_step("stopped", 20)
    os.kill(process.pid, number)
    out = process.communicate()[0]
    assert process.returncode == 0 and "Traceback" not in out, out
    *_, stopped, command = out.splitlines()
    assert stopped == f"stopped and saved after step {newest('stopped')}; to continue:" and newest("stopped") < 300
    program, *words = shlex.split(command)
    assert (program, words) == ("lm-jax", ["train", "--resume", "stopped"])
    assert f"resumed after step {newest('stopped')}" in finish(*words)
    assert_equal_runs("stopped", straight, step=300)
