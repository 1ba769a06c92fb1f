"""Classifiers go through a run as every task does; vectors and other runs give the parameters they begin with."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from lm_jax.config import DataConfig, NGramConfig, from_flat
from lm_jax.errors import UserError
from lm_jax.runs import open_run, resume, train, train_seeds
from tests.cli.conftest import tree
from tests.queries.untrained import untrained
from tests.runs.toy import Events, assert_equal_runs, saved_arrays, toy_config, write_corpus
from tests.tasks.labelled import classify_config
from tests.tasks.parallel import translate_config
from tests.tasks.tagged import tag_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("classify")


@pytest.fixture(scope="module")
def straight(folder):
    return train(classify_config(folder / "texts.tsv"), folder / "straight")


@pytest.mark.slow
def test_stop_and_resume_have_the_same_bits(straight, folder):
    config = classify_config(folder / "texts.tsv")
    stopped = train(config, folder / "run", Events(10), mirror=folder / "drive")
    assert stopped.results.stopped and stopped.results.step < 20
    resumed = resume(folder / "run", mirror=folder / "drive")
    assert_equal_runs(resumed.folder, straight.folder, step=20)
    assert_equal_runs(folder / "drive" / "run", straight.folder, step=20)


def test_the_best_step_has_the_best_accuracy(straight):
    lines = [json.loads(line) for line in (straight.folder / "metrics.jsonl").read_text().splitlines()]
    validations = [line for line in lines if "valid_loss" in line]
    best = max(validations, key=lambda line: (line["valid_accuracy"], -line["step"]))
    assert straight.results.best_step == best["step"]
    rows = {(row.split, row.model): row for row in straight.results.closing.rows}
    own = rows["valid", "bidirectional LSTM 1x4 (mean)"]
    assert own.accuracy == pytest.approx(best["valid_accuracy"])
    assert rows["train", "naive Bayes"].accuracy == 1 and len(rows) == 9


@pytest.mark.slow
def test_seeds_share_their_shapes(folder):
    seeds = train_seeds(classify_config(folder / "texts.tsv", steps=3), 2, folder / "seeds")
    assert set(seeds.results.splits["test"]) == {"accuracy", "cross_entropy"}


def test_vectors_are_what_the_embedding_begins_with(folder):
    (folder / "vectors.txt").write_text("cab 1 2 3 4\n")
    config = classify_config(folder / "texts.tsv", vectors=str(folder / "vectors.txt"), steps=1, learning_rate=1e-9)
    run = train(config, folder / "vectors")
    words = run.vocabulary.inputs
    np.testing.assert_allclose(run.params.embedding[words.ids["cab"]], [1, 2, 3, 4], atol=1e-6)
    assert abs(run.params.embedding[words.ids["bad"]]).max() <= 0.1
    (folder / "vectors.txt").unlink()  # a run that goes on has them
    assert resume(run.folder, dataclasses.replace(open_run(run.folder).config, steps=2)).results.step == 2


def test_a_language_model_gives_embedding_and_lower_layers(folder, tmp_path):
    (tmp_path / "text.txt").write_text("a cab good poor bad\n" * 200)
    settings = {"level": "word", "hidden_size": 4, "embedding_size": 4, "batch_size": 2, "bptt": 4, "steps": 1}
    language_model = train(toy_config(str(tmp_path / "text.txt"), **settings), tmp_path / "lm")
    config = classify_config(folder / "texts.tsv", init_from=str(tmp_path / "lm"), steps=1, learning_rate=1e-9)
    run = train(config, tmp_path / "run")
    new, old = run.vocabulary.inputs.ids, language_model.vocabulary.ids
    np.testing.assert_allclose(run.params.embedding[new["cab"]], language_model.params.embedding[old["cab"]], atol=1e-6)
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, atol=1e-6),
        run.params.encoder.forward,
        language_model.params.cell,
    )
    pairs = zip(jax.tree.leaves(run.params.encoder.backward), jax.tree.leaves(language_model.params.cell), strict=True)
    assert any((np.asarray(mine) != np.asarray(theirs)).any() for mine, theirs in pairs)
    with pytest.raises(UserError, match="hidden_size must be that of init_from, 4, got 5"):
        train(classify_config(folder / "texts.tsv", init_from=str(tmp_path / "lm"), hidden_size=5), tmp_path / "no")
    assert not (tmp_path / "no").exists()


OTHERS = {
    "classify": lambda folder: classify_config(folder / "other.tsv"),
    "tag": lambda folder: tag_config(folder / "tagged.tsv"),
    "translate": lambda folder: translate_config(folder / "pairs.tsv", cell="lstm"),
    "window": lambda folder: toy_config(write_corpus(folder / "text"), level="word", model="window", window=3),
    "attention": lambda folder: toy_config(write_corpus(folder / "text"), level="word", model="attention", context=6),
}


@pytest.mark.parametrize("kind", [*OTHERS, "ngram"])
def test_a_run_of_another_kind_gives_nothing(kind, folder, tmp_path):
    if kind == "ngram":
        train(NGramConfig(DataConfig(write_corpus(tmp_path / "text"), level="word"), order=2), tmp_path / "other")
    else:
        untrained(OTHERS[kind](tmp_path), tmp_path / "other")
    config = classify_config(folder / "texts.tsv", init_from=str(tmp_path / "other"))
    before = tree(tmp_path)
    with pytest.raises(UserError) as caught:
        train(config, tmp_path / "new")
    message = f"init_from must be the run of a recurrent language model, got another: {tmp_path / 'other'}"
    assert str(caught.value) == message and caught.value.settings == ("init_from",)
    assert tree(tmp_path) == before and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"connection": "residual"}, "connection needs layers above 1"),
        ({"dropout": 0.0, "dropout_kind": "locked"}, "dropout_kind needs dropout above 0"),
        ({"forget_bias": 2.0, "cell": "gru"}, "forget_bias is a setting of lstm, .*got cell gru"),
        ({"vectors": "a", "init_from": "b"}, "init_from brings an embedding"),
        ({"level": "char", "min_count": 2}, "min_count and max_vocab are for words"),
    ],
)
def test_settings_that_nothing_reads_are_refused(changes, message, folder):
    with pytest.raises(UserError, match=message):
        train(classify_config(folder / "texts.tsv", **changes), folder / "refused")
    assert not (folder / "refused").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"layers": 4, "connection": connection, "bidirectional": both, "cell": cell, "pooling": pooling}
        for connection, both, cell, pooling in (
            ("plain", True, "gru", "last"),
            ("residual", False, "rnn", "mean"),
            ("highway", True, "lstm", "attention"),
            ("dense", True, "gru", "max"),
        )
    ],
    ids=lambda settings: settings["connection"],
)
def test_every_encoder_learns_the_first_word(settings, folder):
    config = classify_config(
        folder / "texts.tsv", steps=400, hidden_size=16, embedding_size=8, dropout=0.1, eval_every=50, **settings
    )
    run = train(config, folder / settings["connection"])
    rows = [row for row in run.results.closing.rows if row.split == "train"]
    assert rows[-1].accuracy > 0.95
    assert from_flat(type(config), {}, open_run(run.folder).config) == open_run(run.folder).config
    assert saved_arrays(run.folder, run.results.step)
