"""What a notebook and a terminal show of a result: a few lines, never arrays; HTML that is well formed and escaped."""

import inspect
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import lm_jax
from lm_jax import analysis, inference, queries, runs
from lm_jax.analysis import LagProfile
from lm_jax.models.ngram import BackoffParams
from lm_jax.queries.classify import Explanation, Prediction
from lm_jax.queries.list_runs import list_runs
from lm_jax.queries.minimal_pairs import minimal_pairs
from lm_jax.queries.tag import TaggedSentence, TagString
from lm_jax.report.rows import Rows
from lm_jax.report.table import Table
from lm_jax.short_repr import short_repr
from lm_jax.tasks.classify import Classification
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus


LONGEST = 600
PUBLIC = {
    getattr(module, name)
    for module in (queries, runs, analysis, inference)
    for name in module.__all__
    if inspect.isclass(getattr(module, name)) and hasattr(getattr(module, name), "_fields")
}
SMALL = ("Accuracy", "Interval", "PairedTest", "StateName", "Likelihood", "CorpusMeasure", "Weights", "Edits")
OWN = {"Run", "GradientReport", "MinimalPairs", "TaggedSentence"}  # written by hand; real ones are below


@pytest.mark.parametrize("cls", sorted(PUBLIC | {BackoffParams}, key=lambda cls: cls.__name__))
def test_a_record_is_short_whatever_it_holds(cls):
    if cls.__name__ in OWN:
        assert cls.__repr__ is not short_repr
        return
    if cls.__name__ in SMALL:  # of a few numbers each
        return
    assert cls.__repr__ is short_repr
    for large in (np.zeros((300, 300)), "text " * 500, list(range(999)), {k: "x" * 99 for k in range(50)}):
        text = repr(cls(*[large] * len(cls._fields)))
        assert len(text) <= LONGEST and text.startswith(cls.__name__)


def parsed(result):
    """The text of the HTML that a notebook shows, which is well formed."""
    return "".join(ElementTree.fromstring(result._repr_html_()).itertext())


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a text of words, an untrained network and a bigram, and the records of their trainings."""
    folder = tmp_path_factory.mktemp("shown")
    text = write_corpus(folder / "text")
    path = Path(text) / "test.txt"
    path.write_text(path.read_text() + "<unk> & zebra\n")
    words = {"level": "word", "min_count": 2, "batch_size": 2, "bptt": 4, "steps": 4, "log_every": 2, "eval_every": 2}
    network = lm_jax.train(toy_config(text, **words), folder / "network")
    counts = lm_jax.train_ngram(text, folder / "counts", level="word", min_count=2, order=2)
    untrained(toy_config(text), folder / "chars")
    return {"folder": folder, "network": network, "counts": counts, "trained": lm_jax.load(network)}


@pytest.mark.parametrize("name", ["network", "counts"])
def test_a_run_shows_its_scores_and_its_curve(here, name):
    run = here[name]
    assert len(repr(run)) <= LONGEST and "test: cross entropy" in repr(run) and str(run.folder) in repr(run)
    page = run._repr_html_()
    assert "perplexity" in parsed(run) and ("data:image/png" in page) == (name == "network")
    assert len(page) < 200_000 and len(repr(run.results)) <= LONGEST and len(repr(run.params)) <= LONGEST * 20


def test_several_seeds_show_their_means(tmp_path):
    splits = {"test": {"a_b": {"mean": 2.0, "error": 0.1}}}
    results = runs.SeedResults(["seed-0", "seed-1"], "r", "LSTM <b>", False, splits, 1.0, "train")
    seeds = runs.SeedRuns(tmp_path, [], results)
    assert len(repr(seeds)) <= LONGEST and "2.000 ± 0.1" in parsed(seeds) and "LSTM &lt;b&gt;" in seeds._repr_html_()


def test_answers_of_a_language_model(here):
    trained = here["trained"]
    answers = [
        trained.next("a <unk>", 8),
        trained.score("<unk> a & b\n" * 30),
        trained.score_tokens("<unk> a"),
        trained.beam_search("a", 3, beam_size=2),
        trained.evaluate(),
        lm_jax.compare([here["network"].folder, here["counts"].folder]),
        trained.gradients("a cab <unk> bad"),
        trained.gradients(texts=2, length=8),
        minimal_pairs(trained, [("a cab", "cab a", "<unk> & co"), ("a", "b", "y")]),
        list_runs(here["folder"]),
    ]
    for answer in answers:
        assert len(repr(answer)) <= LONGEST * 1.2 and "array" not in repr(answer), type(answer)
        parsed(answer)
    texts = [parsed(answer) for answer in answers]
    assert "<unk>" in texts[0] + texts[2] and "&lt;unk&gt;" in answers[2]._repr_html_()
    assert "<unk> a <unk> <unk>" in texts[1] and "24 more" in repr(answers[1])
    assert "network" in texts[5] and "perplexity" in texts[5] and "<unk> & co" in texts[8]
    assert all("data:image/png" in answers[k]._repr_html_() for k in (6, 7))


def test_answers_of_other_tasks():
    labelled = Classification(3, 0.5, 1.0, {"<unk>": 0.5}, 1.0)
    explained = Explanation("<b>", 0.5, ["<unk>", "b"], [0.1, -0.1], [0.2, 0.3], [1.0, 2.0])
    sentence = TaggedSentence(["<unk>"] * 200, ["N&"] * 200, [0.5] * 200, [], [TagString(["N&"], -1.0)])
    predictions = Rows([Prediction("<unk>" * 30, "good", 0.9, {"good": 0.9, "bad": 0.1})] * 70)
    for answer in (labelled, explained, sentence, predictions):
        assert len(repr(answer)) <= LONGEST * 1.2
        assert "<unk>" in parsed(answer) and "&lt;unk&gt;" in answer._repr_html_()
    assert "... and 10 more rows" in parsed(predictions) and "64 more" in repr(predictions)


def test_the_source_of_an_answer_and_attention_are_pictures():
    norms = np.array([[1.0, 2.0]])
    states = (queries.StateGradients(0, "left to right", "h", norms),)
    found = queries.SourceGradientMap("r", "<unk> b", ("<unk>", "b"), ("x",), np.array([-1.0]), norms, states)
    attention = queries.AttentionMap(["<unk>", "$"], ["a"], [[0.2, 0.8]])
    for answer in (found, attention):
        assert "data:image/png" in answer._repr_html_() and len(repr(answer)) <= LONGEST
    assert "“<unk> b”" in parsed(found)


def test_rows_are_a_list():
    rows = Rows([queries.NextToken("a", 0.5), queries.NextToken("\x1b[1m", 0.25)])
    assert rows == list(rows) and rows[0].token == "a" and isinstance(rows, list) and repr(Rows()) == "[]"
    assert "\x1b" not in repr(rows) and "\x1b" not in rows._repr_html_() and parsed(rows) and parsed(Rows()) == "[]"
    assert isinstance(rows.table(), Table) and repr(rows).splitlines()[1].split() == ["a", "0.5"]


def test_a_vocabulary_does_not_list_its_tokens(here):
    vocabulary = here["trained"].vocabulary
    assert repr(vocabulary) == f"Vocabulary('word', {len(vocabulary)} tokens)" and len(vocabulary) > 5


def test_a_profile_is_short():
    lags = np.arange(1, 101)
    profile = LagProfile(lags, lags, lags, lags, {0.25: lags}, (lags, lags), {0.1: 3}, 2, 4, {(1, 20): 0.5})
    assert len(repr(profile)) <= LONGEST and "int64[100]" in repr(profile)
