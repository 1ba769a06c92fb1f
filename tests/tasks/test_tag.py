"""The task of a tagger: it trains, stops and resumes bit for bit, and its table says what is true."""

import json

import numpy as np
import pytest

from lm_jax.data.spans import span_score
from lm_jax.data.tag_vocabulary import UNKNOWN_ID, EncodedSentences, TagVocabulary
from lm_jax.errors import UserError
from lm_jax.inference.tagging import score_tags
from lm_jax.queries import evaluate
from lm_jax.runs import open_run, resume, train, train_seeds
from lm_jax.tasks import SavedData, task_of
from lm_jax.tasks.tag_scores import most_frequent_tags, score_row, score_table
from tests.runs.toy import Events, assert_equal_runs
from tests.tasks.tagged import tag_config


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    changes = {"output": "constrained", "cell": "rnn", "steps": 40, "eval_every": 16}
    changes |= {"learning_rate": 0.05, "hidden_size": 8, "char_size": 12, "dropout": 0.0}
    return tag_config(tmp_path_factory.mktemp("tagged") / "all.tsv", **changes)


@pytest.fixture(scope="module")
def straight(config, tmp_path_factory):
    return train(config, tmp_path_factory.mktemp("run") / "straight")


def test_it_trains_to_an_end(straight):
    lines = [json.loads(line) for line in (straight.folder / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] / 2
    validations = [line for line in lines if "valid_loss" in line]
    assert [line["step"] for line in validations] == [16, 32, 40]
    assert all({"valid_accuracy", "valid_f1", "valid_unseen_accuracy"} <= line.keys() for line in validations)
    results = json.loads((straight.folder / "results.json").read_text())
    assert [(row["split"], row["model"]) for row in results["rows"]] == [
        (split, model) for split in ("valid", "test") for model in ("most frequent tag", "tagger")
    ]
    frequent, tagger = results["rows"][2:]
    assert tagger["f1"] > frequent["f1"] and frequent["cross_entropy"] is None
    assert "/" in results["sample"]


def test_what_is_reported_is_so(straight):
    """Against the definitions, from the model's own tags."""
    opened = open_run(straight.folder)
    task = task_of(opened.config)
    data = task.load(opened.config, None)
    model, params = opened.load()
    test, vocabulary = data.splits["test"], data.vocabulary
    scores = score_tags(model, params, test)
    row = straight.results.closing.rows[-1]
    assert row.accuracy == pytest.approx(np.mean(scores.tags == test.tags))
    unseen = test.words == UNKNOWN_ID
    assert row.unseen == unseen.sum() > 0
    assert row.unseen_accuracy == pytest.approx(np.mean((scores.tags == test.tags)[unseen]))
    assert row.cross_entropy == pytest.approx(-scores.log_probs.sum() / len(test.tags))

    def strings(tags):
        return [[vocabulary.tags[i] for i in part] for part in np.split(tags, np.cumsum(test.lengths)[:-1])]

    assert row.f1 == pytest.approx(span_score(strings(test.tags), strings(scores.tags)).f1)
    again = evaluate(straight.folder)
    assert (again.tokens, again.accuracy, again.f1) == (len(test.tags), row.accuracy, row.f1)
    assert again.words.startswith(f"{len(test.tags)} words: accuracy {row.accuracy:.2%} (")


def test_the_best_step_is_that_of_the_best_f1(straight):
    lines = [json.loads(line) for line in (straight.folder / "metrics.jsonl").read_text().splitlines()]
    validations = {line["step"]: line["valid_f1"] for line in lines if "valid_loss" in line}
    assert validations[straight.results.best_step] == max(validations.values())


def test_stop_and_resume_have_the_same_bits(config, straight, tmp_path):
    stopped = train(config, tmp_path / "run", Events(10), mirror=tmp_path / "drive")
    assert stopped.results.stopped and stopped.results.step < 40
    resumed = resume(tmp_path / "run", mirror=tmp_path / "drive")
    assert resumed.results.step == 40
    assert_equal_runs(resumed.folder, straight.folder, step=40)
    assert_equal_runs(tmp_path / "drive" / "run", straight.folder, step=40)


@pytest.mark.slow
def test_several_seeds_are_the_runs_of_each(tmp_path):
    config = tag_config(tmp_path / "all.tsv", steps=8)
    results = train_seeds(config, 2, tmp_path / "seeds").results
    assert results.splits["test"]["f1"]["error"] >= 0 and len(results.runs) == 2
    alone = train(config, tmp_path / "alone")
    assert_equal_runs(tmp_path / "seeds" / "seed-0", alone.folder, step=8)


def test_an_output_that_does_not_fit_is_refused_before_anything_is_written(tmp_path):
    data = tmp_path / "all.tsv"
    data.write_text("\n".join(f"a D\nb N\nc{i} N\n" for i in range(20)))
    config = tag_config(tmp_path / "other.tsv", data=str(data), output="constrained")
    with pytest.raises(UserError, match=r"output constrained needs BIO or IOBES tags, .* got N, D"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_changed_file_is_refused_by_a_resumed_run(config, straight, tmp_path):
    task, opened = task_of(config), open_run(straight.folder)
    saved = SavedData(opened.vocabulary, opened.record["corpus"])
    other = tag_config(tmp_path / "all.tsv", output="crf")
    changed = (tmp_path / "all.tsv").read_text().replace("cab", "cabs")
    (tmp_path / "all.tsv").write_text(changed)
    with pytest.raises(UserError, match="keeps the text it began with"):
        task.load(other, saved)


VOCABULARY = TagVocabulary(("<unk>", "a", "b"), (0, 3, 1), ("<unk>",), ("N", "D"))


def encoded(words, tags):
    return EncodedSentences(
        np.array(words), np.zeros((len(words), 1)), np.array(words) == 0, np.array(tags), np.array([len(words)])
    )


def test_the_baseline_is_the_most_frequent_tag_of_each_word():
    train = encoded([1, 1, 1, 2], [1, 1, 0, 0])
    np.testing.assert_array_equal(most_frequent_tags(VOCABULARY, train), [0, 1, 0])


def test_the_table_leaves_out_what_there_is_not():
    row = score_row("test", "tagger", VOCABULARY, encoded([1, 2, 1], [1, 0, 1]), np.array([1, 0, 0]), 0.5)
    assert (
        row.unseen_accuracy is None
        and row.f1 is None
        and row.metrics
        == {
            "accuracy": pytest.approx(2 / 3),
            "cross_entropy": 0.5,
        }
    )
    assert row.criterion == pytest.approx(1 / 3)
    table = score_table((row,))
    assert table.titles == ("split", "model", "words", "accuracy", "unseen words", "nats/word")
    assert table.rows == (("test", "tagger", "3", "66.67%", "", "0.5000"),)
