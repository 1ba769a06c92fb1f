"""Runs from and to ARPA files, and pruned ones."""

import gzip

import jax
import numpy as np
import pytest

import lm_jax
from lm_jax import DataConfig, NGramConfig, UserError
from lm_jax.queries import export_arpa, import_arpa, prune_run
from tests.runs.test_ngram import assert_equal
from tests.runs.toy import toy_config, write_corpus


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    data = write_corpus(folder / "text")
    return lm_jax.train(NGramConfig(DataConfig(data, "word"), order=3), folder / "run").folder


@pytest.mark.parametrize("name", ["model.arpa", "model.arpa.gz"])
def test_a_run_through_an_arpa_file_is_the_run(run, tmp_path, name):
    export_arpa(run, tmp_path / name)
    text = gzip.open(tmp_path / name) if name.endswith("gz") else (tmp_path / name).open("rb")
    assert b"\\data\\" in text.read()
    text.close()
    folder, _ = import_arpa(tmp_path / name, tmp_path / "run")
    one, other = lm_jax.load(run), lm_jax.load(folder)
    assert one.vocabulary == other.vocabulary and one.model is other.model
    assert_equal(one.params, other.params)
    data = lm_jax.runs.open_run(run).config.data.data
    assert lm_jax.evaluate(folder, data).perplexity == lm_jax.evaluate(run).perplexity
    with pytest.raises(UserError, match="no text of its own: give data"):
        lm_jax.evaluate(folder)


def test_pruning_says_what_it_costs(run, tmp_path):
    folder, before, after = prune_run(run, 1e-3, tmp_path / "pruned")
    assert sum(after.ngrams) < sum(before.ngrams) and after.bytes < before.bytes
    for split in ("valid", "test"):
        assert getattr(before, split) == pytest.approx(lm_jax.evaluate(run, split=split).perplexity, rel=1e-5)
        assert getattr(after, split) == pytest.approx(lm_jax.evaluate(folder, split=split).perplexity, rel=1e-5)
        assert getattr(after, split) != getattr(before, split)
    assert lm_jax.load(folder).params.sizes == after.ngrams == lm_jax.runs.open_run(folder).record["ngrams"]


def test_nothing_is_left_out_for_nothing(run, tmp_path):
    _, before, after = prune_run(run, 0.0, tmp_path / "pruned")
    assert after.test == pytest.approx(before.test, rel=1e-5)


def test_pruning_by_count_while_estimating(run, tmp_path):
    data = lm_jax.runs.open_run(run).config.data
    pruned = lm_jax.train(NGramConfig(data, order=3, prune_counts=(0, 0, 1)), tmp_path / "run")
    assert lm_jax.runs.open_run(pruned.folder).config.prune_counts == (0, 0, 1)
    sizes = lm_jax.load(run).params.sizes
    assert pruned.params.sizes[:2] == sizes[:2] and pruned.params.sizes[2] < sizes[2]
    _, logits = pruned.model.step(pruned.params, pruned.model.initial_carry(pruned.params, (1,)), np.zeros(1, np.int32))
    assert float(jax.nn.logsumexp(logits)) == pytest.approx(0, abs=1e-5)


def test_what_is_refused_leaves_nothing(run, tmp_path):
    (tmp_path / "there.arpa").write_text("mine")
    with pytest.raises(UserError, match="must not exist"):
        export_arpa(run, tmp_path / "there.arpa")
    with pytest.raises(UserError):
        import_arpa(tmp_path / "there.arpa", tmp_path / "run")
    with pytest.raises(UserError):
        prune_run(run, -1.0, tmp_path / "run")
    neural = lm_jax.train(toy_config(lm_jax.runs.open_run(run).config.data.data, steps=1), tmp_path / "neural").folder
    for action in (lambda: prune_run(neural, 0.1, tmp_path / "run"), lambda: export_arpa(neural, tmp_path / "x.arpa")):
        with pytest.raises(UserError, match=r"runs of n-gram models, got .*, a run of task recurrent"):
            action()
    assert (tmp_path / "there.arpa").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"there.arpa", "neural"}
