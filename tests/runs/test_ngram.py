"""Runs of n-gram models: what they leave, and that what works on a run works on theirs."""

import json
import shutil

import jax
import numpy as np
import pytest

import lm_jax
from lm_jax import DataConfig, NGramConfig, UserError
from lm_jax.config import from_flat
from lm_jax.models.ngram import ESTIMATORS, estimate
from lm_jax.models.ngram.storage import load_tables, save_tables
from lm_jax.runs.open import open_run
from tests.runs.toy import write_corpus


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return lm_jax.train(NGramConfig(DataConfig(data), order=3), tmp_path_factory.mktemp("runs") / "run")


def assert_equal(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.asarray(a).dtype == np.asarray(b).dtype


@pytest.mark.parametrize("order", [1, 2, 4])
def test_tables_come_back_from_disk(tmp_path, order):
    params = estimate(np.array([1, 2, 1, 0, 2, 1, 0], np.int32), order, 3, 0).params
    save_tables(tmp_path / "tables.npz", params)
    assert_equal(load_tables(tmp_path / "tables.npz", 3), params)


@pytest.mark.parametrize("damage", [lambda b: b[:100], lambda b: b"", lambda b: b"not tables"])
def test_damaged_tables_are_told(run, tmp_path, damage):
    path = tmp_path / "tables.npz"
    path.write_bytes(damage((run.folder / "tables.npz").read_bytes()))
    with pytest.raises(UserError, match=r"must be readable, got .*tables\.npz"):
        load_tables(path, 6)


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("words_1", lambda a: a[:-1], "not the 6 entries"),
        ("log_prob_2", lambda a: a[:-1], "2-grams have no number each"),
        ("log_prob_3", lambda a: np.where(np.arange(len(a)) == 1, np.nan, a), "3-grams have no number each"),
        ("log_backoff_1", lambda a: a[:5], "1-grams have no back-off weight each"),
        ("child_start_1", lambda a: a[::-1], "1-grams have no range"),
        ("child_start_2", lambda a: a + 10_000 * (a > 0), "fewer 3-grams than"),
    ],
)
def test_tables_that_do_not_fit_are_told(run, tmp_path, name, change, message):
    path = tmp_path / "tables.npz"
    arrays = dict(np.load(run.folder / "tables.npz"))
    np.savez(path, **{**arrays, name: change(arrays[name])})
    with pytest.raises(UserError, match=f"must fit together, got .*: .*{message}"):
        load_tables(path, 6)
    np.savez(path, log_missing=0.0)
    with pytest.raises(UserError, match="must fit together"):
        load_tables(path, 6)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"corpus": None}, "the record of its corpus"),
        ({"corpus": "x"}, "the record of its corpus"),
        (
            {"task": "foo"},
            "task must be one of recurrent, window, attention, ngram, classify, tag, translate, got 'foo'",
        ),
        ({"config": {"order": 0}}, "order must be a whole number of at least 1, got 0"),
        ({"config": {"method": "foo"}}, "method must be one of"),
    ],
)
def test_an_edited_configuration_is_told(run, tmp_path, change, message):
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    record = json.loads((folder / "config.json").read_text())
    del record["checksum"]
    (folder / "config.json").write_text(json.dumps({**record, **change}))
    with pytest.raises(UserError, match=message):
        lm_jax.evaluate(folder)


def test_the_folder_has_what_is_needed(run, data):
    assert {path.name for path in run.folder.iterdir()} == {
        "config.json",
        "vocabulary.json",
        "tables.npz",
        "results.json",
    }
    opened = open_run(run.folder)
    assert opened.config == NGramConfig(DataConfig(data, min_count=1), order=3) and opened.config.task == "ngram"
    assert opened.record["ngrams"] == run.params.sizes == run.results.record["ngrams"]
    loaded = lm_jax.load(run.folder)
    assert loaded.vocabulary == opened.vocabulary == run.vocabulary and loaded.model is run.model
    assert_equal(loaded.params, run.params)


def test_the_table_is_what_evaluate_says(run):
    rows = [row for row in run.results.closing.rows if row.model == "3-gram MKN"]
    assert [row.split for row in rows] == ["train", "valid", "test"]
    for row in rows:
        found = lm_jax.evaluate(run.folder, split=row.split)
        assert found.cross_entropy == pytest.approx(row.cross_entropy, rel=1e-5)
        assert found.tokens == row.tokens


@pytest.mark.parametrize("method", sorted(ESTIMATORS))
def test_every_estimator_makes_a_run(method, data, tmp_path):
    config = NGramConfig(DataConfig(data), order=2, method=method)
    run = lm_jax.train(config, tmp_path / "run")
    own = [row for row in run.results.closing.rows if row.model.startswith("2-gram ")]
    if method == "stupid-backoff":
        assert not own
        with pytest.raises(UserError, match=r"perplexity needs probabilities .* got a run of stupid-backoff"):
            lm_jax.evaluate(run.folder)
    else:
        assert len(own) == 3 and own[0].cross_entropy > 0
    assert json.loads((run.folder / "results.json").read_text())["sample"]


def test_kenlms_vocabulary_has_one_more_type(data, tmp_path):
    text = DataConfig(data, "word")
    own = lm_jax.train(NGramConfig(text, order=2), tmp_path / "own")
    kenlm = lm_jax.train(NGramConfig(text, order=2, vocab_convention="kenlm"), tmp_path / "kenlm")
    assert kenlm.vocabulary.tokens == (*own.vocabulary.tokens, "<unk>")
    assert kenlm.vocabulary.unk_id == kenlm.model.vocab_size - 1
    with pytest.raises(UserError, match="for words, got level char"):
        lm_jax.train(NGramConfig(DataConfig(data), vocab_convention="kenlm"), tmp_path / "char")
    assert not (tmp_path / "char").exists()


def test_there_is_nothing_to_resume(run):
    with pytest.raises(UserError, match="nothing to resume"):
        lm_jax.resume(run.folder)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"order": 0}, "order must be a whole number of at least 1, got 0"),
        ({"k": 0.0, "method": "add-k"}, "k must be positive and finite, got 0.0"),
        ({"k": float("nan"), "method": "add-k"}, "k must be positive and finite, got nan"),
    ],
)
def test_bad_settings_write_nothing(settings, message, data, tmp_path):
    with pytest.raises(UserError, match=message):
        lm_jax.train(from_flat(NGramConfig, {"data": data, **settings}), tmp_path / "run")
    assert not list(tmp_path.iterdir())
