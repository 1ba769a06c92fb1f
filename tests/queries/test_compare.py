"""Rows of runs on the same text: each is what `evaluate` says, and what does not compare is left out or refused."""

import dataclasses
import itertools
import json
import math
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import lm_jax
from lm_jax import DataConfig, UserError
from lm_jax.config import NGramConfig
from lm_jax.inference.likelihood import line_sums, token_log_probs
from lm_jax.inference.significance import bootstrap_ratio, paired_test
from lm_jax.queries import compare
from tests.inference.toys import table_model
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus


SPLITS = ("train", "valid", "test")
SAME = ("tokens", "bits_per_character", "bits_per_byte", "unk_rate", "eval_streams")
PAIRED = ("difference", "difference_low", "difference_high", "p_value")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a text and its runs, by name; in "few" all words but three are unknown."""
    folder = tmp_path_factory.mktemp("compare")
    text = write_corpus(folder / "text")
    untrained(toy_config(text), folder / "lstm")
    untrained(toy_config(text, cell="gru", mode="sentence"), folder / "gru")
    untrained(toy_config(text, eval_streams=3), folder / "streams")
    untrained(toy_config(text, level="byte"), folder / "bytes")
    words = toy_config(text, level="word", batch_size=2, bptt=4)
    untrained(words, folder / "words")
    untrained(dataclasses.replace(words, data=DataConfig(text, "word", max_vocab=5)), folder / "few")
    for method in ("witten-bell", "stupid-backoff"):
        lm_jax.train(NGramConfig(data=DataConfig(text), order=3, method=method), folder / method)
    return folder


def runs(folder, *names):
    """The paths of runs."""
    return [str(folder / name) for name in names]


def test_a_row_is_what_evaluate_says(here):
    rows = compare(runs(here, "lstm", "witten-bell", "gru"))
    assert [row.name for row in rows] == ["lstm", "witten-bell", "gru"]
    assert [row.family for row in rows] == ["lstm", "n-gram", "gru"]
    for row in rows:
        expected = lm_jax.evaluate(row.run)
        assert {name: getattr(row, name) for name in SAME} == pytest.approx(
            {name: getattr(expected, name) for name in SAME}
        )
        assert row.cross_entropy == pytest.approx(expected.cross_entropy, rel=1e-12)
        assert row.perplexity == pytest.approx(math.exp(row.cross_entropy), rel=1e-12)
        assert row.perplexity_low == pytest.approx(math.exp(row.cross_entropy_low), rel=1e-12)
        assert row.perplexity_low < row.perplexity < row.perplexity_high
        recorded = json.loads((Path(row.run) / "results.json").read_text())
        assert row.training_seconds == recorded["seconds"]
        assert row.split == "test" and row.source == str(here / "text") and row.level == "char"
        assert row.vocabulary == 6 and row.impossible == 0 and row.spelled and row.tokens_per_second > 0


def test_sizes(here):
    lstm, ngram = compare(runs(here, "lstm", "witten-bell"))
    params = lm_jax.load(here / "lstm").params
    assert lstm.parameters == sum(leaf.size for leaf in jax.tree.leaves(params)) and lstm.ngrams is None
    assert ngram.ngrams == sum(lm_jax.load(here / "witten-bell").params.sizes) and ngram.parameters is None
    whole = sum(file.stat().st_size for file in (here / "lstm").rglob("*") if file.is_file())
    assert 4 * lstm.parameters < lstm.bytes < whole  # a checkpoint holds the optimiser's numbers, too
    files = ("tables.npz", "config.json", "vocabulary.json")
    assert ngram.bytes == sum((here / "witten-bell" / name).stat().st_size for name in files)


def by_hand(run, text, streams=10):
    """Nats of every line of the test text, and its tokens."""
    trained = lm_jax.load(run)
    model, params, vocabulary = trained.model, trained.params, trained.vocabulary
    tokens = vocabulary.encode(text)
    log_probs = token_log_probs(model, params, tokens, vocabulary.eol_id, eval_streams=streams)
    sums, lengths = line_sums(-log_probs, tokens, vocabulary.eol_id)
    return sums, lengths.astype(float)


def test_the_interval_and_the_test_are_of_lines(here):
    """The toy text has eight, more than pieces of 20 tokens: each is a block."""
    text = (here / "text" / "test.txt").read_text()
    (one, units), (two, _) = (by_hand(here / name, text) for name in ("lstm", "witten-bell"))
    rows = compare(runs(here, "lstm", "witten-bell"), samples=500, seed=3)
    assert [(row.blocks, row.block_size, row.block_unit) for row in rows] == [(8, 1, "line")] * 2
    interval = bootstrap_ratio(one, units, 500, 3)
    assert rows[0].interval("cross_entropy") == pytest.approx(interval, rel=1e-12)
    assert [getattr(rows[1], name) for name in PAIRED] == pytest.approx(paired_test(two, one, units, 500, 3), rel=1e-9)
    assert rows[1].difference == pytest.approx(rows[1].cross_entropy - rows[0].cross_entropy)
    assert rows[1].difference < 0 and rows[1].p_value < 0.05  # the other one is untrained
    assert [getattr(rows[0], name) for name in PAIRED] == [None] * 4 and rows[1].difference_unit == "nats per token"


def test_long_lines_are_cut_into_pieces_of_the_stream(here, tmp_path):
    (tmp_path / "text.txt").write_text(("a bad cab " * 50 + "\n") * 4)
    (row,) = compare(runs(here, "lstm"), str(tmp_path / "text.txt"), "all")
    assert (row.blocks, row.block_unit, row.tokens) == (50, "token", 2004) and row.block_size == 2004 / 50
    assert row.bits_per_character_low * math.log(2) == pytest.approx(row.cross_entropy_low, rel=1e-12)


def test_a_run_does_not_differ_from_itself(here):
    rows = compare(runs(here, "lstm", "lstm"))
    assert [getattr(rows[1], name) for name in PAIRED] == [0, 0, 0, 1]
    assert rows[0].perplexity == rows[1].perplexity


def test_different_vocabularies_have_no_perplexities(here):
    """The toy words are parted by single spaces, so all four spell the text, and bits per character compare."""
    rows = compare(runs(here, "lstm", "bytes", "words", "lstm"))
    for row in rows:
        expected = lm_jax.evaluate(row.run)
        assert {name: getattr(row, name) for name in SAME} == pytest.approx(
            {name: getattr(expected, name) for name in SAME}
        )
        for name in ("cross_entropy", "perplexity"):
            assert row.interval(name) is None
        assert row.bits_per_character_low < row.bits_per_character < row.bits_per_character_high
        assert row.spelled and row.difference_unit == "bits per character"
    for above, row in itertools.pairwise(rows):
        assert row.difference == pytest.approx(row.bits_per_character - above.bits_per_character)
        assert row.difference_low < row.difference < row.difference_high and 0 < row.p_value <= 1


def test_unknown_words_are_not_characters(here):
    rows = compare(runs(here, "words", "few", "lstm"))
    assert [row.spelled for row in rows] == [True, False, True]
    assert rows[1].unk_rate > 0 and [row.difference for row in rows] == [None] * 3
    alone = compare(runs(here, "few", "few"))
    assert alone[1].perplexity is not None and alone[1].p_value == 1


def test_the_order_of_types_does_not_matter(here, tmp_path):
    shutil.copytree(here / "lstm", tmp_path / "turned")
    vocabulary = lm_jax.runs.open_run(here / "lstm").vocabulary
    turned = dataclasses.replace(vocabulary, tokens=vocabulary.tokens[::-1])
    turned.save(tmp_path / "turned" / "vocabulary.json")
    rows = compare([here / "lstm", tmp_path / "turned"])
    assert all(row.perplexity is not None for row in rows) and rows[1].difference != 0


def test_a_text_that_is_not_ascii_has_more_bytes_than_characters(tmp_path):
    line = "naïve café\n"
    text = tmp_path / "text"
    text.mkdir()
    for name in ("train", "valid", "test"):
        (text / f"{name}.txt").write_text(line * 60)
    for level in ("char", "byte"):
        untrained(toy_config(str(text), level=level), tmp_path / level)
    for names in (["byte"], ["char", "byte"]):
        for row in compare(runs(tmp_path, *names)):
            assert row.characters == 60 * len(line)
            assert row.bits_per_character / row.bits_per_byte == pytest.approx(len(line.encode()) / len(line))


def test_bytes_that_are_not_text(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(range(1, 256)) * 40)
    untrained(toy_config(str(path), level="byte"), tmp_path / "run")
    (row,) = compare([tmp_path / "run"])
    assert row.perplexity > 1 and row.tokens == lm_jax.evaluate(tmp_path / "run").tokens


def test_streams_must_agree(here):
    with pytest.raises(UserError, match=r"one number of streams only: give eval_streams, got 10 of .*, 3 of .*"):
        compare(runs(here, "lstm", "streams"))
    for row in compare(runs(here, "lstm", "streams"), eval_streams=2):
        expected = lm_jax.evaluate(row.run, eval_streams=2)
        assert row.eval_streams == 2 and row.cross_entropy == pytest.approx(expected.cross_entropy, rel=1e-12)


def test_texts_must_agree(here, tmp_path):
    other = write_corpus(tmp_path / "other", seed=1)
    untrained(toy_config(other), tmp_path / "run")
    both = [str(here / "lstm"), str(tmp_path / "run")]
    with pytest.raises(UserError, match=r"on one text only: give data, got .*text .*lstm.* and .*other .*run"):
        compare(both)
    for row in compare(both, other, "valid"):
        expected = lm_jax.evaluate(row.run, other, "valid")
        assert row.cross_entropy == pytest.approx(expected.cross_entropy, rel=1e-12) and row.source == other
    (tmp_path / "other" / "train.txt").write_text("a bad cab\n" * 60)
    with pytest.raises(UserError, match=r"must be as it was: give data, got a changed .*other"):
        compare([tmp_path / "run"])


def test_the_whole_text(here):
    (own,) = compare(runs(here, "lstm"), split="all")
    (given,) = compare(runs(here, "lstm"), str(here / "text"), split="all")
    assert own.tokens == given.tokens == sum(lm_jax.evaluate(here / "lstm", split=s).tokens for s in SPLITS)
    assert own.cross_entropy == given.cross_entropy


def test_a_score_is_no_probability(here):
    with pytest.raises(UserError, match=r"needs probabilities .*, got a run of stupid-backoff, .*/stupid-backoff"):
        compare(runs(here, "lstm", "stupid-backoff"))


def test_a_run_without_a_text_needs_one(here, tmp_path):
    """As those are that were made from an ARPA file."""
    run = tmp_path / "run"
    shutil.copytree(here / "witten-bell", run)
    record = json.loads((run / "config.json").read_text())
    del record["checksum"]
    (run / "config.json").write_text(json.dumps(record | {"corpus": {"source": "a file", "sha256": None}}))
    for both in ([run, run], [here / "lstm", run]):
        with pytest.raises(UserError, match=r"has no text of its own: give data, got none for .*/run"):
            compare(both)
    own, given = compare([here / "witten-bell", run], str(here / "text"))
    assert own.perplexity == given.perplexity


def answering(run, logits):
    """The run with the table model of these logits [V, V] for its own."""
    model, params = table_model(logits)
    return dataclasses.replace(lm_jax.load(run), model=model, params=params)


def test_probabilities_of_zero(here):
    """Of the letter that has the last place in the vocabulary; nothing is NaN."""
    logits = np.zeros((6, 6))
    logits[:, 5] = -np.inf
    rows = compare([answering(run, logits) for run in runs(here, "lstm", "gru")])
    letter = lm_jax.runs.open_run(here / "lstm").vocabulary.tokens[5]
    for row in rows:
        assert row.impossible == (here / "text" / "test.txt").read_text().count(letter) > 0
        assert row.interval("perplexity") == (math.inf, math.inf, math.inf)
        assert row.bits_per_byte == math.inf and [getattr(row, name) for name in PAIRED] == [None] * 4


def test_what_is_not_a_number_is_refused(here):
    with pytest.raises(UserError, match=r"must be numbers, got nan from .*lstm"):
        compare([answering(here / "lstm", np.full((6, 6), np.nan))])


def test_the_best_first(here):
    given = compare(runs(here, "lstm", "witten-bell", "gru"))
    rows = compare(runs(here, "lstm", "witten-bell", "gru"), sort=True)
    assert [row.perplexity for row in rows] == sorted(row.perplexity for row in given)
    assert rows[0].difference is None and all(row.difference > 0 for row in rows[1:])


def test_names_tell_runs_apart(here, tmp_path):
    shutil.copytree(here / "lstm", tmp_path / "lstm")
    shutil.copytree(here / "gru", tmp_path / "other")
    paths = [str(here / "lstm"), str(tmp_path / "lstm"), str(tmp_path / "other")]
    assert [row.name for row in compare(paths)] == [*paths[:2], "other"]


def test_a_run_without_an_end_has_no_time(here, tmp_path):
    shutil.copytree(here / "lstm", tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    (row,) = compare([tmp_path / "run"])
    assert row.training_seconds is None


def test_progress_goes_from_nothing_to_all(here):
    told = []
    compare(runs(here, "lstm", "gru"), split="train", eval_streams=1, progress=lambda *share: told.append(share))
    shares = [done / total for done, total in told]
    assert len(shares) > 4 and shares == sorted(shares) and told[-1] == (1, 1) and shares[0] < 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": []}, r"at least one run folder, got \[\]"),
        ({"runs": "checkpoints/run"}, "list of at least one run folder, got 'checkpoints/run'"),
        ({"runs": ["nowhere"]}, "a run folder holds config.json and vocabulary.json, got nowhere"),
        ({"split": "dev"}, "split must be one of train, valid, test or all, got 'dev'"),
        ({"samples": 99}, "samples must be at least 100"),
        ({"samples": 0.5}, "samples must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"eval_streams": 0}, "eval_streams must be a whole number of at least 1, got 0"),
        ({"data": "nowhere.txt"}, "must be an existing file or folder"),
    ],
)
def test_requests_that_cannot_be(here, options, message):
    with pytest.raises(UserError, match=message):
        compare(**{"runs": runs(here, "lstm"), **options})


def test_a_text_that_a_run_cannot_read(here, tmp_path):
    (tmp_path / "text.txt").write_text("a zebra\n" * 40)
    with pytest.raises(UserError, match=r"every character must be in the vocabulary, got 'z' in line 1 \(.*lstm\)"):
        compare(runs(here, "lstm"), str(tmp_path / "text.txt"), "all")


def test_a_last_line_without_its_end_is_counted(tmp_path, monkeypatch):
    """As in a default text that was cut; files are read with an end of line at their end."""
    monkeypatch.setattr("lm_jax.data.texts.default_text", lambda: "a cab\nbad\n" * 500 + "a ca")
    run = lm_jax.train(hidden_size=8, embedding_size=4, batch_size=4, bptt=8, steps=2, run=tmp_path / "run")
    (row,) = compare([run.folder])
    assert row.characters == row.tokens
    assert row.bits_per_character == pytest.approx(row.cross_entropy / math.log(2), rel=1e-12)
