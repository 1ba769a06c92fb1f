"""Going on with a run: bit for bit as if it had never been stopped, and what is refused."""

import dataclasses
import json
import shutil
import signal
import threading
import warnings

import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.config import TrainConfig, from_flat
from lm_jax.data import load_corpus
from lm_jax.runs.folder import RunFolder, read_lines
from lm_jax.runs.open import open_run
from lm_jax.runs.signals import stop_on_signal
from lm_jax.training.checksums import record_step, write_record
from tests.runs.toy import Events, assert_equal_runs, toy_config, write_corpus


CONFIGS = {
    "adamw, cosine, dropout": {
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "dropout": 0.3,
        "checkpoint_every": 3,
    },
    "sgd, plateau, sentences, locked dropout": {
        "optimizer": "sgd",
        "learning_rate": 20.0,  # far too high: validations before and after the stop are worse than the first
        "schedule": "plateau",
        "mode": "sentence",
        "cell": "gru",
        "layers": 2,
        "connection": "highway",
        "dropout": 0.3,
        "dropout_kind": "locked",
        "eval_every": 3,
    },
}


SLOW = "sgd, plateau, sentences, locked dropout"


@pytest.fixture(
    scope="module",
    params=[pytest.param(c, marks=[pytest.mark.slow] * (name == SLOW), id=name) for name, c in CONFIGS.items()],
)
def straight(request, tmp_path_factory):
    """A run of 20 steps without a stop."""
    folder = tmp_path_factory.mktemp("straight")
    return lm_jax.train(toy_config(write_corpus(folder / "text"), **request.param), folder / "run")


def config_of(run):
    return open_run(run.folder).config


@pytest.mark.parametrize("stop_at", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(straight, stop_at, tmp_path):
    config = config_of(straight)
    stopped = lm_jax.train(config, tmp_path / "run", Events(stop_at))
    assert stopped.results.stopped and stopped.results.step == stop_at and stopped.results.closing.rows == ()
    events = Events()
    resumed = lm_jax.resume(tmp_path / "run", listener=events)
    assert events.of("on_start")[0][0].first_step == stop_at
    assert_equal_runs(resumed.folder, straight.folder, step=20)
    for name in ("step", "best_step", "stopped"):
        assert getattr(resumed.results, name) == getattr(straight.results, name)
    for name in ("rows", "sample"):
        assert getattr(resumed.results.closing, name) == getattr(straight.results.closing, name)
    assert {r.get("from") for r in read_lines(tmp_path / "run" / "times.jsonl")} == {None, 0, stop_at}


class StoppedValidating(Events):
    """Stops the run by a signal amid the validation of a step."""

    def on_progress(self, stage, done, total):
        if stage == "validating" and self.of("on_steps")[-1] == (self.stop_at,):
            signal.raise_signal(signal.SIGINT)

    def on_steps(self, step):
        self.append(("on_steps", step))


@pytest.fixture(scope="module")
def long_validations(tmp_path_factory):
    """A run whose validations have several parts."""
    folder = tmp_path_factory.mktemp("long")
    data = write_corpus(folder / "text")
    (folder / "text" / "valid.txt").write_text("a cab dab\n" * 300)
    return lm_jax.train(toy_config(data, dropout=0.3, checkpoint_every=8), folder / "run")


@pytest.mark.parametrize("stop_at", [8, pytest.param(16, marks=pytest.mark.slow), 20])
def test_a_run_is_stopped_amid_a_validation(long_validations, stop_at, tmp_path):
    """The last one is the closing one, on the record only."""
    straight, events = long_validations, StoppedValidating(stop_at)
    (tmp_path / "drive").mkdir()
    stopped = lm_jax.train(config_of(straight), tmp_path / "run", events, mirror=tmp_path / "drive")
    assert stopped.results.stopped and stopped.results.step == stop_at and stopped.results.closing.rows == ()
    assert stop_at not in [event[0].step for event in events.of("on_validation")]
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:  # written by a resume that was killed before it saved
        lines = read_lines(straight.folder / "metrics.jsonl")
        file.write(json.dumps(next(line for line in lines if line["step"] == stop_at and "best" in line)) + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed = lm_jax.resume(tmp_path / "run", mirror=tmp_path / "drive")
    records = [folder / "states.checksums" for folder in (resumed.folder, tmp_path / "drive" / "run")]
    assert {p.name: p.read_bytes() for p in records[0].iterdir()} == {
        p.name: p.read_bytes() for p in records[1].iterdir()
    }
    assert_equal_runs(tmp_path / "drive" / "run", straight.folder, step=20)
    assert_equal_runs(resumed.folder, straight.folder, step=20)
    for name in ("step", "best_step", "stopped"):
        assert getattr(resumed.results, name) == getattr(straight.results, name)
    saved = [sorted(path.name for path in (run.folder / "states").iterdir()) for run in (resumed, straight)]
    assert saved[0] == saved[1]


@pytest.mark.slow
def test_a_run_that_ended_goes_on_for_longer(straight, tmp_path):
    """Ten steps and ten more, with reports and checkpoints at other steps until then, are twenty; a cosine falls over
    the steps of the run as it was started, or over those asked for."""
    config = config_of(straight)
    if config.optimizer.schedule.kind == "cosine":
        config = changed(config, "decay_steps", 20)
    lm_jax.train(dataclasses.replace(config, steps=10, checkpoint_every=7), tmp_path / "run")
    resumed = lm_jax.resume(tmp_path / "run", config)
    assert_equal_runs(resumed.folder, straight.folder, step=20)
    assert config_of(resumed) == config


def test_what_was_written_after_the_last_checkpoint_is_written_anew(straight, tmp_path):
    """A crash leaves log lines of steps that are not saved, and perhaps half a line."""
    shutil.copytree(straight.folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "states" / "20")
    (tmp_path / "run" / "states.checksums" / "20.json").unlink()
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 25, "loss": 1.0}\n{"step": 3')
    resumed = lm_jax.resume(tmp_path / "run")
    assert_equal_runs(resumed.folder, straight.folder, step=20)


def test_a_step_that_is_no_longer_needed_goes_at_the_resume(straight, tmp_path):
    """As a mirror has one whose machine was lost after its last copy of a step, and before it removed an older one."""
    shutil.copytree(straight.folder, tmp_path / "run")
    states = tmp_path / "run" / "states"
    shutil.copytree(states / "20", states / "1")
    write_record(states, record_step(states / "1", 1, None))
    lm_jax.resume(tmp_path / "run")
    for name in ("states", "states.checksums"):
        expected = sorted(path.name for path in (straight.folder / name).iterdir())
        assert sorted(path.name for path in (tmp_path / "run" / name).iterdir()) == expected


# --- what is refused, on a folder that was made but never trained ------------------------------------------------


@pytest.fixture
def begun(tmp_path):
    """A run folder without checkpoints, and its configuration."""
    config = toy_config(write_corpus(tmp_path / "text"))
    corpus = load_corpus(config.data.data)
    facts = {"decay_horizon": 20, "corpus": corpus.record}
    RunFolder(tmp_path / "run").create(config, corpus.vocabulary, facts)
    return tmp_path / "run", config


def changed(config, name, value):
    """The configuration with one setting changed, wherever it is."""
    return from_flat(TrainConfig, {name: value}, config)


REFUSED = {
    "level": "word",
    "cell": "gru",
    "hidden_size": 9,
    "layers": 2,
    "dropout": 0.5,
    "compute_dtype": "bfloat16",
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "clip": None,
    "schedule": "plateau",
    "decay_steps": 5,
    "mode": "sentence",
    "batch_size": 5,
    "bptt": 9,
    "seed": 1,
    "eval_every": 9,
    "patience": 3,
    "eval_streams": 3,
}


@pytest.mark.parametrize(("name", "value"), REFUSED.items(), ids=REFUSED)
def test_changes_are_refused_by_name(begun, name, value):
    run, config = begun
    before = {path: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(UserError, match=f"got {name} = {value} "):
        lm_jax.resume(run, changed(config, name, value))
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_another_text_is_refused(begun):
    run, _ = begun
    write_corpus(run.parent / "text", seed=1)
    with pytest.raises(UserError, match="a resumed run keeps the text it began with"):
        lm_jax.resume(run)


def test_a_text_that_moved_is_the_same_text(begun):
    run, config = begun
    (run.parent / "text").rename(run.parent / "moved")
    with pytest.raises(UserError, match="existing"):
        lm_jax.resume(run)
    moved = changed(config, "data", str(run.parent / "moved"))
    assert lm_jax.resume(run, dataclasses.replace(moved, steps=1)).results.step == 1


def test_a_run_without_a_checkpoint_starts_from_the_beginning(begun):
    run, config = begun
    with pytest.raises(UserError, match="a run can be loaded once it has a checkpoint"):
        lm_jax.load(run)
    assert lm_jax.resume(run, dataclasses.replace(config, steps=2)).results.step == 2
    assert lm_jax.load(run).vocabulary.level == "char"


@pytest.mark.parametrize("missing", ["config.json", "vocabulary.json", None])
def test_a_folder_that_is_no_run_is_refused(begun, missing):
    run = begun[0] / "nowhere" if missing is None else begun[0]
    if missing is not None:
        (run / missing).unlink()
    for function in (lm_jax.resume, lm_jax.load):
        with pytest.raises(UserError, match=r"a run folder holds config.json and vocabulary.json"):
            function(run)


def test_a_folder_with_unreadable_files_is_refused(begun):
    run, _ = begun
    record = json.loads((run / "config.json").read_text())
    for text in ("{", "{}", json.dumps({**record, "config": {**record["config"], "warp": 9}})):
        (run / "config.json").write_text(text)
        with pytest.raises(UserError, match=r"readable JSON|does not know: warp"):
            lm_jax.load(run)


@pytest.fixture
def usual_interrupt():
    """Ctrl-C as in a terminal: a shell's background jobs begin with it switched off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_the_first_signal_asks_and_the_second_acts(usual_interrupt):
    stopped = threading.Event()
    with pytest.raises(KeyboardInterrupt), stop_on_signal(stopped):
        signal.raise_signal(signal.SIGINT)
        assert stopped.is_set()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is usual_interrupt
    stopped.clear()
    with stop_on_signal(stopped):
        signal.raise_signal(signal.SIGTERM)
        assert stopped.is_set()


@pytest.fixture(params=[signal.SIG_DFL, signal.SIG_IGN], ids=["usual", "nohup"])
def hang_up(request):
    """What SIGHUP does when a run begins."""
    before = signal.signal(signal.SIGHUP, request.param)
    yield request.param
    signal.signal(signal.SIGHUP, before)


def test_a_closed_terminal_asks_however_often_it_is_told_unless_that_is_ignored(hang_up):
    stopped = threading.Event()
    with stop_on_signal(stopped):
        for _ in range(2):
            signal.raise_signal(signal.SIGHUP)
        assert stopped.is_set() == (hang_up == signal.SIG_DFL)
    assert signal.getsignal(signal.SIGHUP) == hang_up
