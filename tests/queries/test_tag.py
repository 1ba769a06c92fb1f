"""Tags of sentences by a loaded run: typed records of words, tags, probabilities, spans and the best strings."""

import json
import math

import pytest

import lm_jax
from lm_jax.errors import UserError
from lm_jax.queries import TrainedTagger
from lm_jax.queries.tag import tag, tag_sentences
from lm_jax.strict_json import to_json
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus
from tests.tasks.tagged import tag_config


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagger")
    untrained(tag_config(folder / "all.tsv", output="crf", max_length=12), folder / "run")
    return folder


@pytest.fixture(scope="module")
def trained(here):
    return lm_jax.load(here / "run")


def test_a_sentence_goes_in_as_a_text_or_as_words(trained, here):
    assert isinstance(trained, TrainedTagger) and repr(trained) == f"TrainedTagger(run={str(here / 'run')!r})"
    one = trained.tag("a  XABC unheard")
    assert one.words == ["a", "XABC", "unheard"] and len(one.tags) == len(one.probabilities) == 3
    assert trained.tag(["a", "XABC", "unheard"]) == one == tag(here / "run", "a XABC unheard")
    assert trained.predict("a XABC unheard") == one and trained.predict(["a XABC unheard", "a"])[0].tags == one.tags
    assert set(one.tags) <= set(trained.vocabulary.tags) and all(0 < p <= 1 for p in one.probabilities)
    assert json.loads(to_json(one))["best"][0]["tags"] == one.tags


def test_the_best_strings_and_the_spans_of_the_first(trained):
    one = trained.tag("a XABC", 40)
    assert len(one.best) == 11 and one.best[0].tags == one.tags  # of 25 strings of two of five tags 11 are legal
    scores = [string.log_prob for string in one.best]
    assert scores == sorted(scores, reverse=True) and math.isclose(sum(map(math.exp, scores)), 1, abs_tol=1e-4)
    for string in one.best:
        assert not string.tags[0].startswith("I")
    of_first = math.fsum(math.exp(s.log_prob) for s in one.best if s.tags[0] == one.tags[0])
    assert math.isclose(one.probabilities[0], of_first, abs_tol=1e-4)
    for span in one.spans:
        assert one.tags[span.start] == f"B-{span.kind}" and span.text == " ".join(one.words[span.start : span.end])


def test_many_sentences_in_one_go(trained):
    sentences = ["a", "a cab XABC", "b " * 12]
    assert [one.words for one in trained.tag_sentences(sentences)] == [sentence.split() for sentence in sentences]
    assert trained.tag_sentences([]) == []


def test_what_cannot_be_tagged_is_refused(trained, here):
    for sentence in ("", "  ", [], ["a", ""]):
        with pytest.raises(UserError, match="a sentence must hold words, got"):
            trained.tag(sentence)
    with pytest.raises(UserError, match="at most 12 words, the run's max_length, got 13"):
        trained.tag("a " * 13)
    with pytest.raises(UserError, match="n_best must be a whole number of at least 1, got 0"):
        trained.tag("a", 0)
    with pytest.raises(UserError, match="must be a list of sentences, got one: 'a b'"):
        tag_sentences(trained, "a b")
    for wrong in (5, None, b"a", [5], [None], [b"a"]):
        for ask in (trained.tag, trained.predict):
            with pytest.raises(UserError, match=r"must be a (list of|string)"):
                ask(wrong)
    with pytest.raises(UserError, match="data must be the name of a file or folder, got int 5"):
        trained.evaluate(5)
    untrained(toy_config(write_corpus(here / "text")), here / "lm")
    with pytest.raises(UserError, match="is for the run of a tagger, got that of a language model"):
        tag(here / "lm", "a")
    with pytest.raises(UserError, match="is for the run of a language model, got that of a tagger"):
        lm_jax.generate(here / "run", "a")
