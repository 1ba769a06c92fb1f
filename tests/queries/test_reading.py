"""Reading a run never writes into its folder: another process may be training it at this moment."""

import shutil
import warnings

import jax
import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.queries.run_size import bytes_on_disk
from lm_jax.training import Checkpoints, saved_steps
from lm_jax.training.checksums import read_record, record_path, record_step, write_record
from lm_jax.training.saved_steps import find_steps, load_step
from lm_jax.training.step_names import remove_step
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus
from tests.training.test_checkpoints import MODEL, save_all


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reading")
    return untrained(toy_config(write_corpus(folder / "text")), folder / "run")


@pytest.fixture
def run(pristine, tmp_path):
    """A run in the midst of a save, a removal and the rewriting of a file."""
    shutil.copytree(pristine, tmp_path / "run")
    for name in ("9.saving", "9.saving.orbax-checkpoint-tmp", "9.orbax-checkpoint-tmp", "5.removing", "7.copying"):
        (tmp_path / "run" / "states" / name / "params").mkdir(parents=True)
        (tmp_path / "run" / "states" / name / "params" / "data").write_text("half")
    (tmp_path / "run" / "metrics.jsonl.123.part").write_text("half")
    record = read_record(record_path(pristine / "states", 0))
    assert record is not None
    states = tmp_path / "run" / "states"
    for step in (5, 7):  # records are written before a step has its name, and deleted after it has lost it
        write_record(states, record._replace(step=step, valid_loss=0.1))
    write_record(states, record_step(states / "9.saving", 9, 0.1))
    (tmp_path / "run" / "states.checksums" / "9.json.123.part").write_text("half")
    return tmp_path / "run"


def contents(folder):
    """Everything that a write would change: names, times and sizes of files and folders."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_ctime_ns, path.stat().st_ino, path.stat().st_size)
        for path in (folder, *folder.rglob("*"))
    }


QUESTIONS = {
    "load": lm_jax.load,
    "evaluate": lm_jax.evaluate,
    "generate": lambda run: lm_jax.generate(run, "a", 3),
    "compare": lambda run: lm_jax.compare([run]),
    "size": bytes_on_disk,
    "gradients": lambda run: lm_jax.gradients(run, texts=1, length=4, max_lag=2),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_writes_nothing_and_says_nothing(run, question):
    before = contents(run)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        question(run)
    assert contents(run) == before


def test_a_training_removes_what_was_half_done(run):
    """The same folder, so that the test above is one of something."""
    with Checkpoints(run / "states"):
        pass
    assert sorted(path.name for path in (run / "states").iterdir()) == ["0", "9"]  # 9 was recorded: it is whole
    assert sorted(path.name for path in (run / "states.checksums").iterdir()) == ["0.json", "9.json"]


@pytest.fixture
def states(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_steps, "PAUSE", 0)
    save_all(tmp_path / "states", {3: 2.0, 4: 2.5})
    return tmp_path / "states"


def template():
    return jax.eval_shape(MODEL.init, jax.random.key(0))


@pytest.mark.parametrize("moment", ["find_damage", "describe_arrays", "load_arrays"])
def test_a_step_that_vanishes_while_it_is_read_is_no_damage(states, monkeypatch, moment):
    """The training has removed it: what there is now is read, without a word."""
    read = getattr(saved_steps, moment)

    def vanishing(folder, *arguments, **options):
        if folder.name == "3":
            remove_step(states, 3)
        return read(folder, *arguments, **options)

    monkeypatch.setattr(saved_steps, moment, vanishing)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert load_step(states, template()).step == 4


def test_a_step_that_is_half_removed_when_its_arrays_are_described_is_no_misfit(states, monkeypatch):
    """orbax then describes what is left of it, without an error."""
    read = saved_steps.describe_arrays

    def half_removed(folder, part):
        if folder.name == "3":
            remove_step(states, 3)
            return {}, {}
        return read(folder, part)

    monkeypatch.setattr(saved_steps, "describe_arrays", half_removed)
    assert load_step(states, template()).step == 4


def test_steps_that_vanish_again_and_again_are_one_line(states, monkeypatch):
    record = find_steps(states)[0].record
    assert record is not None
    tries = iter(range(100))

    def vanishing(folder, *arguments):
        write_record(states, record._replace(valid_loss=-float(next(tries))))  # another training's, every time
        raise OSError("gone")

    monkeypatch.setattr(saved_steps, "describe_arrays", vanishing)
    with pytest.raises(UserError, match="a checkpoint must stay while it is read, got step 3 of"):
        load_step(states, template())
    assert next(tries) == saved_steps.ATTEMPTS
