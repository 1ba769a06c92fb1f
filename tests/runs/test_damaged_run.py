"""A run whose checkpoints are damaged goes on, ends, and says so; and it is not read with another run's words."""

import shutil

import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.runs.folder import RunFolder
from lm_jax.training.checksums import write_record
from lm_jax.training.saved_steps import find_steps, rank_steps
from tests.runs.toy import assert_equal_runs, toy_config, write_corpus


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of 12 steps whose best step, so its record says, is 8 and not the last."""
    config = toy_config(write_corpus(tmp_path_factory.mktemp("text")), steps=12, eval_every=8)
    folder = lm_jax.train(config, tmp_path_factory.mktemp("finished") / "run").folder
    record = next(saved.record for saved in find_steps(folder / "states") if saved.step == 8)
    assert record is not None
    write_record(folder / "states", record._replace(valid_loss=0.1))
    return folder


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def spoil(run, step):
    path = run / "states" / str(step) / "params" / "_METADATA"
    path.write_bytes(path.read_bytes()[:-1])


def test_a_damaged_best_checkpoint_does_not_fail_the_run(run, finished):
    assert [saved.step for saved in rank_steps(find_steps(run / "states"))] == [8, 12]
    spoil(run, 8)
    with pytest.warns(UserWarning, match="checkpoint 8 is damaged .* set aside as 8.unreadable; .* from step 12"):
        resumed = lm_jax.resume(run)
    assert resumed.results.best_step == 12
    assert_equal_runs(run, finished, step=12)


def test_a_reader_says_what_it_reads_instead(run):
    spoil(run, 8)
    with pytest.warns(UserWarning, match=r"checkpoint 8 is damaged \(.* bytes .*\); checkpoint 12 is read instead"):
        lm_jax.load(run)
    assert (run / "states" / "8").is_dir()


def test_a_run_is_not_read_with_another_vocabulary(run):
    """One of the same size: other words, and all numbers would be of them."""
    own = Vocabulary.load(RunFolder(run).vocabulary)
    Vocabulary(own.level, (*own.tokens[:-2], *reversed(own.tokens[-2:]))).save(RunFolder(run).vocabulary)
    for question in (lm_jax.load, lm_jax.resume):
        with pytest.raises(UserError, match="must have the vocabulary that its checkpoints were made with, got sha256"):
            question(run)
