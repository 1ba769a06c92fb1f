"""Runs whose n-grams are longer than the memory they may take: the same tables and scores, as maps of files."""

import dataclasses

import jax
import numpy as np
import pytest

import lm_jax
from lm_jax import DataConfig, NGramConfig
from lm_jax.data import corpora, load_corpus
from lm_jax.mapped import is_mapped
from lm_jax.models.ngram import estimate
from lm_jax.tasks import closing_table
from lm_jax.tasks.closing_table import TextReading, baselines
from lm_jax.tasks.text_closing import closing


WORDS = np.array([f"w{number}" for number in range(3000)], object)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A text of words most of whose n-grams occur once: the tables take about 2 MiB."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    words = WORDS[np.random.default_rng(0).integers(0, len(WORDS), 80_000)]
    path.write_text("".join(" ".join(words[start : start + 20]) + "\n" for start in range(0, len(words), 20)))
    return str(path)


def test_a_bounded_run_is_the_other_run_without_a_sample(text, tmp_path):
    config = NGramConfig(DataConfig(text, level="word"), order=3, max_memory=1)
    bounded = lm_jax.train(config, tmp_path / "bounded")
    free = lm_jax.train(dataclasses.replace(config, max_memory=None), tmp_path / "free")
    tables = [(folder / "tables.npz").read_bytes() for folder in (tmp_path / "bounded", tmp_path / "free")]
    assert tables[0] == tables[1] and len(tables[0]) > 2**20
    assert bounded.results.closing.rows == free.results.closing.rows
    assert free.results.closing.sample and not bounded.results.closing.sample
    assert any(remark.startswith("no sample: tables of") for remark in bounded.results.closing.remarks)
    assert any(map(is_mapped, jax.tree.leaves(bounded.params)))
    for one, other in zip(jax.tree.leaves(bounded.params), jax.tree.leaves(free.params), strict=True):
        np.testing.assert_array_equal(one, other)
    lm_jax.load(tmp_path / "bounded")


def test_tables_that_fit_are_sampled_from(text, tmp_path):
    run = lm_jax.train(NGramConfig(DataConfig(text, level="word"), order=2, max_memory=64), tmp_path / "run")
    assert run.results.closing.sample and "no sample" not in " ".join(run.results.closing.remarks)


@pytest.fixture
def bounds(monkeypatch):
    """The memory that each n-gram model of a closing table was given."""
    given = []

    def spy(*arguments, max_memory=None, **options):
        given.append(max_memory)
        return estimate(*arguments, max_memory=max_memory, **options)

    monkeypatch.setattr(closing_table, "estimate", spy)
    return given


def test_the_models_of_a_closing_table_keep_the_bound(text, bounds, monkeypatch):
    corpus = load_corpus(text, "word")
    free = baselines(corpus)
    assert bounds == [None] * 3
    closing(corpus, TextReading(corpus.vocabulary.eol_id, 10, "stream"), {}, "", max_memory=2**20)
    assert bounds[3:] == [2**20] * 3
    monkeypatch.setattr(closing_table, "COUNTED_IN_MEMORY", 1000)  # of a longer text beside a training
    bounded = baselines(corpus)
    assert bounds[6:] == [closing_table.COUNTING_MEMORY] * 3
    for one, other in zip(jax.tree.leaves(bounded), jax.tree.leaves(free), strict=True):
        np.testing.assert_array_equal(one, other)


def test_tokens_of_a_large_text_are_a_map(text, monkeypatch, tmp_path):
    expected = load_corpus(text, "word")
    monkeypatch.setattr("lm_jax.data.large_text.LARGE", 1)
    monkeypatch.setattr(corpora, "CACHE_FROM", 1 << 40)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = load_corpus(text, "word")
    for split in ("train", "valid", "test"):
        assert is_mapped(getattr(found, split)) and not list(tmp_path.iterdir())
        np.testing.assert_array_equal(getattr(found, split), getattr(expected, split))
