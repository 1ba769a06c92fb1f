"""Labels and what they rest on: the gradient is the derivative, the occlusion a text without the word."""

from pathlib import Path

import jax
import numpy as np
import pytest

import lm_jax
from lm_jax.errors import UserError
from lm_jax.queries import TrainedClassifier, TrainedLanguageModel
from lm_jax.queries.load import load_as
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus
from tests.tasks.labelled import classify_config


TEXT = "poor cab a bad cab"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A classifier of the first word, as it begins."""
    folder = tmp_path_factory.mktemp("classify")
    return lm_jax.load(untrained(classify_config(folder / "texts.tsv"), folder / "run"))


def test_predictions_are_the_most_probable_labels(run):
    assert isinstance(run, TrainedClassifier)
    found = run.classify([TEXT, "good", "zzz unseen words"])
    assert [one.text for one in found] == [TEXT, "good", "zzz unseen words"] and run.classify([]) == []
    for one in found:
        assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-6)
        assert one.probability == one.probabilities[one.label] == max(one.probabilities.values())
    alone = run.classify(["good"])[0]
    assert run.predict("good") == alone and run.predict([TEXT, "good"]) == run.classify([TEXT, "good"])
    assert alone.probability == pytest.approx(found[1].probability, abs=1e-6)


def test_what_a_label_rests_on(run):
    explanation = run.explain(TEXT)
    vocabulary, model, params = run.vocabulary, run.model, run.params
    assert explanation.words == TEXT.split() and explanation.label == run.classify([TEXT])[0].label
    label = vocabulary.label_ids[explanation.label]
    without = ["zzz" if place == 1 else word for place, word in enumerate(TEXT.split())]
    left = run.classify([" ".join(without)])[0].probabilities[explanation.label]
    assert explanation.occlusion[1] == pytest.approx(np.log(explanation.probability / left), abs=1e-5)

    xs = model.embed(params, vocabulary.encode(TEXT)[:, None])
    unknown = model.embed(params, np.asarray([vocabulary.unk_id]))

    def log_prob(share):
        moved = xs.at[1].add(share * (unknown - xs[1]))
        return float(jax.nn.log_softmax(model.logits_of_embedded(params, moved))[0, label])

    slope = (log_prob(-1e-2) - log_prob(1e-2)) / 2e-2
    assert explanation.gradient[1] == pytest.approx(slope, rel=2e-2, abs=1e-4)
    assert all(reach > 0 for reach in explanation.reach)


def test_texts_that_cannot_be_read_are_refused(run):
    for texts, message in ((["", "a"], "hold a word"), (["a " * 1001], "at most 1,000"), ("a text", "list of texts")):
        with pytest.raises(UserError, match=message):
            run.classify(texts)
    for wrong in (5, [5], [None], [b"a"]):
        for ask in (run.predict, run.explain, run.gradient_map):
            with pytest.raises(UserError, match=r"must be a (list of|string)"):
                ask(wrong)


def test_a_question_to_another_type_of_model_is_refused(run, tmp_path):
    language_model = untrained(toy_config(write_corpus(tmp_path / "text")), tmp_path / "lm")
    for question in (lm_jax.generate, lm_jax.gradients, lm_jax.queries.score):
        with pytest.raises(UserError, match=r"for the run of a language model, got that of a classifier"):
            question(run.run, *(["text"] if question is lm_jax.queries.score else []))
    with pytest.raises(UserError, match="language model, got that of a classifier"):
        lm_jax.compare([language_model, run.run])
    with pytest.raises(UserError, match="classifier, got that of a language model"):
        load_as(TrainedClassifier, language_model)
    assert isinstance(lm_jax.load(language_model), TrainedLanguageModel)


def test_evaluate_counts_every_text(run):
    result = run.evaluate(split="all")
    assert result.texts == 80 and set(result.accuracies) == {"good", "poor"}
    assert f"{result.accuracy:.2%}" in result.words
    counts = {"good": 0, "poor": 0}
    for line in Path(run.config.data.data).read_text().splitlines():
        counts[line.split("\t")[0]] += 1
    mean = sum(counts[label] * accuracy for label, accuracy in result.accuracies.items()) / 80
    assert result.accuracy == pytest.approx(mean)
