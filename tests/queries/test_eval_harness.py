"""A run as a model of the lm-evaluation-harness: its numbers are those of `lm-jax score`."""

import json
import math
import sys

import numpy as np
import pytest

import lm_jax
from lm_jax.cli.eval_harness import metric_rows
from lm_jax.errors import UserError
from lm_jax.queries.eval_harness import evaluate_tasks, generate_until, score_pairs
from tests.runs.toy import toy_config, write_corpus


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("harness")
    return lm_jax.train(toy_config(write_corpus(folder / "text"), steps=30), folder / "run").folder


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("harness")
    config = toy_config(write_corpus(folder / "text"), level="word", batch_size=2, bptt=4, steps=2)
    return lm_jax.train(config, folder / "run").folder


def letters(loaded):
    return "".join(token for token in loaded.vocabulary.tokens if token.strip())


def test_pairs_are_scored_as_by_score(run, words):
    for folder in (run, words):
        loaded = lm_jax.load(folder)
        first, second = letters(loaded)[:2], letters(loaded)[1:]
        if folder == words:
            names = [token for token in loaded.vocabulary.tokens if token != "</s>"]
            first, second = " ".join(names[:2]), " " + " ".join(names[2:0:-1])
        ((whole, _), (context, _), (rest, _)) = score_pairs(
            loaded, [("", first + second), ("", first), (first, second)]
        )
        assert whole == pytest.approx(sum(token.log_prob for token in loaded.score_tokens(first + second)), abs=1e-5)
        assert rest == pytest.approx(whole - context, abs=1e-5) and rest < 0


def test_characters_that_the_vocabulary_lacks_do_not_stop_a_task(run):
    loaded = lm_jax.load(run)
    (score,) = score_pairs(loaded, [("a", "\N{SNOWMAN}")])
    assert math.isfinite(score.log_prob) and score.log_prob < 0


def test_generation_ends_before_the_word_that_ends_it(run):
    loaded = lm_jax.load(run)
    text = loaded.generate("", 30, greedy=True)
    stop = text[5:7]
    assert generate_until(loaded, "", {"until": [stop], "max_gen_toks": 30}) == text[: text.index(stop)]
    assert generate_until(loaded, "", {"until": ["\N{SNOWMAN}"], "max_gen_toks": 8}) == text[:8]


def test_without_the_extra_it_is_one_line(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(UserError, match=r'needs the extra "eval": pip install "lm-jax\[eval\]"'):
        evaluate_tasks(run, ["blimp"])


def test_metrics_become_rows():
    results = {
        "mine": {"alias": "mine", "acc,none": 0.5, "acc_stderr,none": 0.1, "ppl,none": 3, "ppl_stderr,none": "N/A"}
    }
    assert metric_rows(results) == [
        {"task": "mine", "metric": "acc", "value": 0.5},
        {"task": "mine", "metric": "ppl", "value": 3.0},
    ]


TASK = """
task: mine_{name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: {kind}
{rest}
"""


@pytest.mark.slow
def test_a_task_of_ones_own_equals_score(run, tmp_path):
    pytest.importorskip("lm_eval", reason="!! lm_eval IS NOT INSTALLED: THE EVALUATION HARNESS WAS NOT TESTED !!")
    loaded = lm_jax.load(run)
    alphabet = letters(loaded)
    documents = [alphabet[:4] + "\n" + alphabet[2:5], alphabet[::-1]]
    pairs = [(alphabet[:3], alphabet[3:]), (alphabet[1:3], alphabet[:2])]
    (tmp_path / "documents.json").write_text("\n".join(json.dumps({"text": text}) for text in documents))
    (tmp_path / "pairs.json").write_text("\n".join(json.dumps({"a": a, "b": b}) for a, b in pairs))
    rolling = "doc_to_text: ''\ndoc_to_target: '{{text}}'\nmetric_list:\n  - metric: byte_perplexity\n"
    choice = (
        "doc_to_text: '{{a}}'\ndoc_to_target: '{{b}}'\ntarget_delimiter: ''\nmetric_list:\n  - metric: perplexity\n"
    )
    for name, file, kind, rest in [
        ("rolling", "documents.json", "loglikelihood_rolling", rolling),
        ("pairs", "pairs.json", "loglikelihood", choice + "  - metric: acc\n"),
    ]:
        (tmp_path / f"{name}.yaml").write_text(TASK.format(name=name, file=tmp_path / file, kind=kind, rest=rest))
    results = evaluate_tasks(run, ["mine_rolling", "mine_pairs"], include=tmp_path)
    rows = {(row["task"], row["metric"]): row["value"] for row in metric_rows(results)}
    total = sum(token.log_prob for text in documents for token in loaded.score_tokens(text))
    size = sum(len(text.encode()) for text in documents)
    assert rows["mine_rolling", "byte_perplexity"] == pytest.approx(math.exp(-total / size), rel=1e-5)
    scores = score_pairs(loaded, pairs)
    assert rows["mine_pairs", "perplexity"] == pytest.approx(math.exp(-np.mean([s.log_prob for s in scores])), rel=1e-5)
    assert rows["mine_pairs", "acc"] == np.mean([s.greedy for s in scores])
    with pytest.raises(UserError, match="tasks must be those of the harness"):
        evaluate_tasks(run, ["no-such"], include=tmp_path)
