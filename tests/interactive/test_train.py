"""The front door trains: a path and keywords in, a run out; each task has its function."""

import pytest

import lm_jax
from lm_jax.config import TrainConfig
from tests.runs.toy import toy_config, write_corpus


SMALL = {"batch_size": 4, "bptt": 8, "hidden_size": 8, "embedding_size": 4, "log_every": 5, "eval_every": 8}


def test_a_path_and_keywords_train_what_the_configuration_trains(tmp_path, monkeypatch):
    text = write_corpus(tmp_path / "text")
    called = []
    monkeypatch.setattr("lm_jax.runs.train", lambda *request: called.append(request))
    lm_jax.train(tmp_path / "text", tmp_path / "run", None, lr=0.01, steps=20, **SMALL)
    assert called == [(toy_config(text), tmp_path / "run", None, None)]


def test_a_run_goes_on_with_keywords(tmp_path):
    text = write_corpus(tmp_path / "text")
    run = lm_jax.train(text, tmp_path / "run", lr=0.01, steps=4, **SMALL)
    assert run.results.step == 4 and isinstance(lm_jax.load(run.folder).config, TrainConfig)
    assert lm_jax.resume(run.folder, steps=6).results.step == 6
    with pytest.raises(lm_jax.UserError, match=r"may change epochs, steps, .* got hidden_size = 4"):
        lm_jax.resume(run.folder, hidden_size=4)
    with pytest.raises(lm_jax.UserError, match=r"got stepss=5; did you mean steps\?"):
        lm_jax.resume(run.folder, stepss=5)


def test_each_task_has_its_function(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr("lm_jax.runs.train", lambda config, *_: called.append(config.task))
    for function in ("train", "train_ngram", "train_classifier", "train_tagger", "train_translator"):
        getattr(lm_jax, function)("a.txt")
    assert called == ["recurrent", "ngram", "classify", "tag", "translate"]
    counts = lm_jax.train_seeds, "lm_jax.runs.train_seeds"
    monkeypatch.setattr(counts[1], lambda config, seeds, *_: called.append((config.steps, seeds)))
    counts[0]("a.txt", 3, steps=9)
    assert called[-1] == (9, 3)
