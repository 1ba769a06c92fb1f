"""A task made in the tests goes through the same functions as a language model."""

import json

import pytest

from lm_jax.errors import UserError
from lm_jax.queries import evaluate, load, next_tokens
from lm_jax.queries.loaded_run import LoadedRun
from lm_jax.runs import open_run, resume, train, train_seeds
from lm_jax.tasks import TASKS
from tests.runs.toy import Events, assert_equal_runs
from tests.tasks.parity import PARITY, ParityConfig, accuracy


CONFIG = ParityConfig(batch_size=8, steps=40, log_every=10, eval_every=16)


@pytest.fixture(scope="module", autouse=True)
def known():
    """The run folder names the task, and the table of tasks has it."""
    with pytest.MonkeyPatch.context() as patches:
        patches.setitem(TASKS, "parity", PARITY)
        yield


@pytest.fixture(scope="module")
def straight(known, tmp_path_factory):
    """A run without a stop; tests only look at it."""
    return train(CONFIG, tmp_path_factory.mktemp("parity") / "straight")


def test_it_trains_to_an_end(straight):
    lines = [json.loads(line) for line in (straight.folder / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] and [line["step"] for line in lines if "valid_loss" in line] == [16, 32, 40]
    assert all(line["valid_loss"] == pytest.approx(1 - line["accuracy"]) for line in lines if "valid_loss" in line)
    assert not straight.results.stopped and straight.results.closing.rows[0].split == "all"
    assert json.loads((straight.folder / "results.json").read_text())["rows"][0].keys() == {"split", "accuracy"}
    assert not (straight.folder / "vocabulary.json").exists() and (straight.folder / "loss.png").is_file()


def test_stop_and_resume_have_the_same_bits(straight, tmp_path):
    stopped = train(CONFIG, tmp_path / "run", Events(10))
    assert stopped.results.stopped and stopped.results.step < 40
    resumed = resume(tmp_path / "run")
    assert resumed.results.step == 40
    assert_equal_runs(resumed.folder, straight.folder, step=40)


def test_it_is_mirrored(tmp_path):
    train(CONFIG, tmp_path / "run", mirror=tmp_path / "drive")
    assert_equal_runs(tmp_path / "run", tmp_path / "drive" / "run", step=40)


def test_it_is_opened_and_evaluated(straight):
    opened = open_run(straight.folder)
    assert opened.config == CONFIG and opened.vocabulary is None
    assert evaluate(straight.folder).accuracy == straight.results.closing.rows[0].accuracy


def test_it_is_loaded_with_its_model_and_parameters_alone(straight):
    loaded = load(straight.folder)
    assert type(loaded) is LoadedRun and loaded.vocabulary is None
    right = accuracy(PARITY.load(CONFIG, None), loaded.model, loaded.params)
    assert right == straight.results.closing.rows[0].accuracy
    with pytest.raises(UserError, match=r"for the run of a language model, got that of a parity of strings"):
        next_tokens(loaded, "1")


def test_several_seeds(tmp_path):
    results = train_seeds(CONFIG, 2, tmp_path / "seeds").results
    assert results.splits["all"]["accuracy"]["error"] >= 0 and len(results.runs) == 2


def test_rows_accumulate(straight, tmp_path):
    in_parts = train(ParityConfig(**{**vars(CONFIG), "accumulate": 2}), tmp_path / "parts")
    assert in_parts.results.closing.rows[0].accuracy == pytest.approx(
        straight.results.closing.rows[0].accuracy, abs=0.1
    )
