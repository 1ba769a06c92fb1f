"""A run whose checkpoints are damaged goes on, ends, and says so; and it is not read with another run's words."""

import json
import shutil
import warnings

import numpy as np
import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.runs.folder import RunFolder, read_results
from lm_jax.runs.open import open_run
from lm_jax.training.checksums import write_record
from lm_jax.training.saved_steps import find_steps, rank_steps
from tests.runs.toy import assert_equal_runs, saved_arrays, toy_config, write_corpus


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


@pytest.mark.parametrize("emptied", [False, True])
def test_a_run_without_the_records_of_its_steps_says_what_cannot_be_told(run, emptied):
    """The newest step is gone with them: what is left would pass for all that there was."""
    for path in (run / "states.checksums").iterdir():
        path.unlink()
    if not emptied:
        (run / "states.checksums").rmdir()
    shutil.rmtree(run / "states" / "12")
    warned = (
        r"states\.checksums is missing or empty: whether checkpoint 8 is damaged, or a newer one is missing, cannot"
    )
    with pytest.warns(UserWarning, match=warned):
        lm_jax.load(run)
    with pytest.warns(UserWarning, match=warned):
        resumed = lm_jax.resume(run)
    assert resumed.results.step == 12
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the training has recorded what there is
        lm_jax.load(run)


def test_settings_that_were_changed_are_refused_unless_a_person_says_so(run):
    """One digit gives other numbers: here as many streams for validation as nobody asked for."""
    path = run / "config.json"
    changed = path.read_text().replace('"eval_streams": 10', '"eval_streams": 11')
    path.write_text(changed)
    for question in (lm_jax.load, lm_jax.resume):
        with pytest.raises(UserError, match=r"settings must be as they were written, got .*config.json"):
            question(run)
    record = json.loads(changed)
    del record["checksum"]
    path.write_text(json.dumps(record))
    assert open_run(run).config.eval_streams == 11


def test_results_that_were_changed_are_refused(run):
    path = run / "results.json"
    path.write_text(path.read_text().replace('"step": 12', '"step": 13'))
    with pytest.raises(ValueError, match=r"results.json was changed since it was written"):
        read_results(run)


def test_a_log_that_was_changed_is_told_and_the_run_goes_on(run, finished):
    path = run / "metrics.jsonl"
    path.write_text(path.read_text().replace('"loss": 1', '"loss": 2', 1))
    with pytest.warns(UserWarning, match=r"metrics.jsonl is damaged: its lines up to the checkpoint are not those"):
        lm_jax.resume(run)
    for name, array in saved_arrays(run, 12).items():
        np.testing.assert_array_equal(array, saved_arrays(finished, 12)[name])


def test_a_run_is_not_read_with_another_vocabulary(run):
    """One of the same size: other words, and all numbers would be of them."""
    own = Vocabulary.load(RunFolder(run).vocabulary)
    Vocabulary(own.level, (*own.tokens[:-2], *reversed(own.tokens[-2:]))).save(RunFolder(run).vocabulary)
    for question in (lm_jax.load, lm_jax.resume):
        with pytest.raises(UserError, match="must have the vocabulary that its checkpoints were made with, got sha256"):
            question(run)
