"""What answers rest on, for loaded runs: words, answers, log-probabilities and norms of the three tasks."""

import json

import numpy as np
import pytest

import lm_jax
from lm_jax.analysis.source_gradients import _compiled
from lm_jax.errors import UserError
from lm_jax.queries import any_gradient_map
from lm_jax.strict_json import to_json
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus
from tests.tasks.labelled import classify_config
from tests.tasks.parallel import translate_config
from tests.tasks.tagged import tag_config


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder of untrained runs: label, tags, words."""
    folder = tmp_path_factory.mktemp("maps")
    untrained(classify_config(folder / "texts.tsv", cell="gru"), folder / "label")
    untrained(tag_config(folder / "tags.tsv", output="crf", cell="rnn"), folder / "tags")
    untrained(translate_config(folder / "pairs.tsv", attention="plain", reverse_source=True), folder / "words")
    return folder


def test_of_a_label(here):
    run = lm_jax.load(here / "label")
    found = run.gradient_map("poor cab a")
    label, probability, words, _, _, reach = run.explain("poor cab a")
    assert (found.answers, found.source, found.text) == ((label,), tuple(words), "poor cab a")
    np.testing.assert_allclose(found.norms[0], reach, rtol=1e-4)
    np.testing.assert_allclose(np.exp(found.log_probs), [probability], rtol=1e-5)
    assert [(s.layer, s.direction, s.leaf) for s in found.states] == [
        (0, "left to right", "h"),
        (0, "right to left", "h"),
    ]
    other = "poor" if label == "good" else "good"
    assert np.exp(run.gradient_map("poor cab a", other).log_probs[0]) == pytest.approx(1 - probability, abs=1e-5)
    assert json.loads(to_json(found))["states"][0]["leaf"] == "h"


def test_of_tags(here):
    run = lm_jax.load(here / "tags")
    found, tagged = run.gradient_map("a XABC unheard"), run.tag("a XABC unheard")
    assert (list(found.source), list(found.answers)) == (tagged.words, tagged.tags)
    np.testing.assert_allclose(np.exp(found.log_probs), tagged.probabilities, rtol=1e-4)
    assert found.norms.shape == (3, 3) and found.states[0].norms.shape == (3, 3)
    with pytest.raises(UserError, match=r"target must be a tag for each of the 3 words, of .*, got 'O O'"):
        run.gradient_map("a XABC unheard", "O O")


def test_of_translated_words(here):
    """The log-probabilities of the model's own translation add up to that of the search."""
    run = lm_jax.load(here / "words")
    own, found = run.translate("eins zwei."), run.gradient_map("eins zwei.")
    assert found.source == ("eins", "zwei", "￭.") and found.answers[-1] == "⏎"
    if own.finished:
        assert found.log_probs.sum() == pytest.approx(own.log_prob, abs=1e-4)
    forced = run.gradient_map("eins zwei.", "one two!", layer=-1)
    assert forced.answers == ("one", "two", "￭!", "⏎") and forced.norms.shape == (4, 3)
    # read from its end by one layer: the first word is the nearest to the decoder
    assert [(s.direction, s.leaf) for s in forced.states] == [("right to left", "h")]
    assert np.all(forced.norms > 0)


def test_of_any_run(here):
    for name, answers in (("label", 1), ("tags", 2), ("words", 3)):
        found = any_gradient_map(here / name, "a cab", "one two" if name == "words" else None, layer=0)
        assert len(found.answers) == answers and {state.layer for state in found.states} == {0}
    untrained(toy_config(write_corpus(here / "text")), here / "lm")
    past = any_gradient_map(here / "lm", "a cab")
    np.testing.assert_array_equal(past.log_shares, lm_jax.queries.gradient_map(here / "lm", "a cab").log_shares)


BAD = {
    "label": ("label", ("a", "bad"), "target must be a label of the run, .*, got 'bad'"),
    "layer": ("label", ("a", None, 1), "layer must be from 0 to 0, or -1 for the top, got 1"),
    "no word": ("tags", (" ", None), "a sentence must hold words"),
    "language model": ("lm", ("a cab", "x"), "a language model predicts the text itself, got target 'x' too"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_asked_is_refused(here, name):
    if not (here / "lm").exists():
        untrained(toy_config(write_corpus(here / "text")), here / "lm")
    run, (text, target, *layer), message = BAD[name]
    with pytest.raises(UserError, match=message):
        any_gradient_map(here / run, text, target, layer=layer[0] if layer else None)


@pytest.mark.parametrize("name", ["label", "tags", "words"])
def test_sentences_up_to_16_words_share_a_program_and_padding_changes_nothing(name, here, monkeypatch):
    """Against the program of exactly that length."""
    run, text = lm_jax.load(here / name), "cab bad unheard a cab"
    target = {"label": None, "tags": None, "words": "one two! three"}[name]
    padded = any_gradient_map(run, text, target)
    compiled = _compiled(run.model.opened)
    before = compiled._cache_size()
    for words in range(1, 17):
        any_gradient_map(run, " ".join(["cab"] * words), target)
    assert compiled._cache_size() == before
    monkeypatch.setattr("lm_jax.queries.source_gradients.bucket_of", lambda length: length)
    monkeypatch.setattr("lm_jax.queries.source_gradients.SHORTEST_ALONE", 1)
    exact = any_gradient_map(run, text, target)
    assert compiled._cache_size() == before + 1
    assert (padded.source, padded.answers) == (exact.source, exact.answers)
    np.testing.assert_allclose(padded.log_probs, exact.log_probs, rtol=1e-5)
    np.testing.assert_allclose(padded.norms, exact.norms, rtol=1e-4, atol=1e-9)
    for one, other in zip(padded.states, exact.states, strict=True):
        assert one[:3] == other[:3] and one.norms.shape == exact.norms.shape
        np.testing.assert_allclose(one.norms, other.norms, rtol=1e-4, atol=1e-9)
