"""A run from start to finish: its folder, its logs, its results, and what a listener is told."""

import dataclasses
import json
import math
import os
import platform
import shutil

import jax
import numpy as np
import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.data import Vocabulary, load_corpus
from lm_jax.inference.likelihood import likelihood
from lm_jax.models.ngram import estimate
from lm_jax.models.ngram.model import ngram_lm
from lm_jax.queries import evaluate
from lm_jax.runs.folder import read_lines, read_results
from lm_jax.runs.journal import report_to_json, validation_to_json
from lm_jax.sealed_json import write_sealed
from tests.runs.toy import Events, saved_arrays, toy_config, write_corpus


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run with what its listener was told, and its corpus."""
    folder, events = tmp_path_factory.mktemp("run"), Events()
    config = toy_config(write_corpus(folder / "text"))
    run = lm_jax.train(config, folder / "run", events)
    return run, events, load_corpus(config.data.data)


def test_what_lies_in_the_folder(finished):
    run, _, corpus = finished
    names = {
        "config.json",
        "vocabulary.json",
        "metrics.jsonl",
        "times.jsonl",
        "loss.png",
        "results.json",
        "states",
        "states.checksums",
    }
    assert set(os.listdir(run.folder)) == names
    assert (run.folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert Vocabulary.load(run.folder / "vocabulary.json") == run.vocabulary == corpus.vocabulary
    assert read_results(run.folder) == json.loads(json.dumps(run.results.to_json()))


def test_the_configuration_tells_what_was_trained_on(finished):
    run, _, corpus = finished
    record = json.loads((run.folder / "config.json").read_text())
    assert record["python"] == platform.python_version()
    assert record["corpus"]["sha256"] == corpus.sha256
    assert record["corpus"]["tokens"]["train"] == len(corpus.train)
    assert record["decay_horizon"] == 20  # a longer run must not change the past
    assert record["config"]["model"]["hidden_size"] == 8


def test_metrics_have_no_clock_in_them(finished):
    records = read_lines(finished[0].folder / "metrics.jsonl")
    assert [r["step"] for r in records] == [5, 8, 10, 15, 16, 20, 20]
    report = {"step", "loss", "perplexity", "grad_norm", "clipped", "learning_rate"}
    validation = {"step", "valid_loss", "valid_perplexity", "best", "bits_per_byte", "unk_rate"}
    assert {frozenset(r) for r in records} == {
        frozenset(report),
        frozenset(validation),
        frozenset(validation | {"closing"}),
    }
    assert records[-1]["closing"] and all(math.isfinite(r.get("loss", 0.0)) for r in records)
    assert records[0]["loss"] > records[5]["loss"]  # it learns


def test_times_are_told_for_the_same_steps(finished):
    records = read_lines(finished[0].folder / "times.jsonl")
    assert [r["step"] for r in records] == [0, 5, 10, 15, 20, 20]
    assert all({"seconds", "tokens_per_second"} < set(r) for r in records[1:-1])
    assert records[-1]["from"] == 0 and records[-1]["session_seconds"] > 0


def test_the_time_to_compile_is_told_once(finished):
    run, events, _ = finished
    (told,) = events.of("on_compilation")
    assert read_lines(run.folder / "times.jsonl")[0] == {"step": 0, "compilation": told[0]._asdict()}
    assert told[0].seconds > 0 and told[0].from_cache is False


def test_the_best_step_is_what_is_loaded(finished):
    run = finished[0]
    losses = {r["step"]: r["valid_loss"] for r in read_lines(run.folder / "metrics.jsonl") if "valid_loss" in r}
    best = min(losses, key=losses.get)
    assert run.results.best_step == best
    trained = lm_jax.load(run.folder)
    model, params, vocabulary = trained.model, trained.params, trained.vocabulary
    assert model is run.model and vocabulary == run.vocabulary
    jax.tree.map(np.testing.assert_array_equal, params, run.params)
    np.testing.assert_array_equal(params.embedding, saved_arrays(run.folder, best)["['params']['embedding']"])
    # and it is the one that was measured
    assert evaluate(run.folder, split="valid").cross_entropy == losses[best]


@pytest.mark.parametrize("recurrence", ["cudnn", "pallas"])
def test_a_run_of_an_engine_of_one_machine_is_loaded_on_any(finished, tmp_path, recurrence):
    folder = shutil.copytree(finished[0].folder, tmp_path / "run")
    config = (folder / "config.json").read_text()
    record = json.loads(config.replace('"recurrence": "auto"', f'"recurrence": "{recurrence}"'))
    write_sealed(folder / "config.json", record)
    trained = lm_jax.load(folder)
    model, params = trained.model, trained.params
    carry = model.initial_carry(params, (2,))
    tokens = np.ones((3, 2), np.int32)
    for a, b in zip(*(m.unroll(params, carry, tokens)[1] for m in (model, finished[0].model)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_closing_table(finished):
    run, _, corpus = finished
    rows = run.results.closing.rows
    size, eol_id = len(corpus.vocabulary), corpus.vocabulary.eol_id
    assert [row.split for row in rows] == ["train"] * 4 + ["valid"] * 4 + ["test"] * 4
    baselines = {"unigram": (1, "add-k"), "bigram": (2, "witten-bell"), "5-gram MKN": (5, "modified-kneser-ney")}
    for number, split in enumerate(("train", "valid", "test")):
        tokens = getattr(corpus, split)
        *others, model = rows[4 * number : 4 * number + 4]
        assert [row.model for row in others] == list(baselines)
        for row, (order, method) in zip(others, baselines.values(), strict=True):
            tables = estimate(corpus.train, order, size, eol_id, method=method).params
            expected = likelihood(ngram_lm(order, size, eol_id), tables, tokens, eol_id)  # in the same ten streams
            assert row.cross_entropy == pytest.approx(expected.cross_entropy, rel=1e-6)
        scored = evaluate(run.folder, split=split)
        assert model.cross_entropy == scored.cross_entropy and model.model == "LSTM 1x8"
        for row in (*others, model):
            assert row.tokens == len(tokens) == scored.tokens
            assert row.perplexity == math.exp(row.cross_entropy)
            # at this level every token is a character
            assert row.bits_per_character == pytest.approx(row.cross_entropy / math.log(2), rel=1e-12)


def test_bits_per_character_count_the_characters_of_words(tmp_path):
    """A word is some characters and the space or the newline after it."""
    config = toy_config(write_corpus(tmp_path / "text"), level="word", steps=1, batch_size=2, bptt=4)
    run = lm_jax.train(config, tmp_path / "run")
    result = evaluate(run.folder, split="test")
    characters = len((tmp_path / "text" / "test.txt").read_text())
    assert result.tokens < characters
    expected = result.cross_entropy * result.tokens / math.log(2) / characters
    assert result.bits_per_character == pytest.approx(expected, rel=1e-12)


def test_a_listener_hears_everything_in_order(finished):
    run, events, corpus = finished
    names = [event[0] for event in events]
    assert names[0] == "on_start" and names[-1] == "on_end" and names.count("on_start") == names.count("on_end") == 1
    (start,) = events.of("on_start")[0]
    assert (start.steps, start.first_step, start.run) == (20, 0, str(run.folder))
    assert start.data == (f"vocabulary {len(corpus.vocabulary)} (char)", f"{len(corpus.train):,} tokens per epoch")
    assert (start.targets_per_epoch, start.unit, start.command) == (len(corpus.train), "tokens", "train")
    assert start.parameters == sum(leaf.size for leaf in jax.tree.leaves(run.params))
    assert events.of("on_end") == [(run.results,)]
    metrics = read_lines(run.folder / "metrics.jsonl")
    assert [report_to_json(report) for (report,) in events.of("on_report")] == [r for r in metrics if "loss" in r]
    validations = [validation for (validation,) in events.of("on_validation")]
    assert [validation_to_json(one) for one in validations] == [r for r in metrics if "valid_loss" in r]
    for score in (validation.score for validation in validations):
        total = score.loss * len(corpus.valid) / math.log(2)
        assert score.metrics["bits_per_byte"] == pytest.approx(total / corpus.bytes["valid"], rel=1e-12)
        assert score.metrics["unk_rate"] == 0 and score.metrics["valid_perplexity"] == math.exp(score.loss)
    alphabet = set(corpus.vocabulary.tokens)
    assert all(one.sample and set(one.sample) <= alphabet for one in validations)
    steps = [step for (step,) in events.of("on_steps")]
    assert steps == sorted(set(steps)) and steps[-1] == 20


def test_runs_of_a_seed_are_equal_and_of_another_differ(finished, tmp_path):
    run = finished[0]
    config = toy_config(str(run.folder.parent / "text"))
    again = lm_jax.train(config, tmp_path / "again")
    assert (again.folder / "metrics.jsonl").read_bytes() == (run.folder / "metrics.jsonl").read_bytes()
    other = lm_jax.train(dataclasses.replace(config, seed=1), tmp_path / "other")
    assert (other.folder / "metrics.jsonl").read_bytes() != (run.folder / "metrics.jsonl").read_bytes()


def test_the_default_folder_is_the_next_free_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints" / "lstm-char-1").mkdir(parents=True)
    config = toy_config(write_corpus(tmp_path / "text"), steps=1)
    assert lm_jax.train(config).folder.as_posix() == "checkpoints/lstm-char-2"


BAD = {
    "batch larger than the text": ({"batch_size": 500}, "must fill one batch of 500 streams x 8 steps"),
    "no hidden units": ({"hidden_size": 0}, "hidden_size must be a whole number of at least 1, got 0"),
    "tied sizes": ({"tied": True}, "a tied softmax needs embedding_size equal to hidden_size, got 4 and 8"),
    "dropout of one": ({"dropout": 1.0}, "dropout must be in"),
    "no learning rate": ({"learning_rate": 0.0}, "learning_rate must be positive"),
    "rate is no number": ({"learning_rate": float("nan")}, "learning_rate must be positive"),
    "negative clip": ({"clip": -1.0}, "clip must be positive"),
    "negative warm-up": ({"warmup_steps": -1}, "not (be )?negative"),
    "decay factor of one": ({"schedule": "plateau", "decay_factor": 1.0}, "decay_factor must be between 0 and 1"),
    "no steps": ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
    "no patience": ({"patience": 0}, "patience must be"),
    "negative seed": ({"seed": -1}, "seed must be a whole number from 0"),
    "unknown cell": ({"cell": "elman"}, "cell must be one of rnn, gru, lstm, .*got 'elman'"),
    "unknown connection": ({"connection": "ring"}, "connection must be one of .* got 'ring'"),
    "residual sizes": ({"connection": "residual", "layers": 2, "hidden_size": 8, "cell": "nope"}, "cell must be"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_bad_requests_leave_nothing_behind(changes, message, tmp_path):
    text = write_corpus(tmp_path / "text")
    with pytest.raises(UserError, match=message) as caught:
        lm_jax.train(toy_config(text, **changes), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["text"]


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for run in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(UserError, match="run must be a new or an empty folder"):
            lm_jax.train(toy_config("anything"), run)
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_a_run_that_diverges_keeps_what_it_had(tmp_path):
    """Weights of 1e9 eight times over are beyond float32; the first steps are finite, then nothing is."""
    explosive = {"cell": "rnn", "nonlinearity": "identity", "optimizer": "sgd", "learning_rate": 1e9, "clip": None}
    explosive |= {"on_nonfinite": "stop"}  # the others go back to a good state, and on
    config = toy_config(write_corpus(tmp_path / "text"), **explosive, warmup_steps=30, steps=40, eval_every=1)
    with pytest.raises(UserError, match="must stay finite"):
        lm_jax.train(config, tmp_path / "run")
    assert all(math.isfinite(r.get("loss", 0.0)) for r in read_lines(tmp_path / "run" / "metrics.jsonl"))
    arrays = saved_arrays(tmp_path / "run", int(max(os.listdir(tmp_path / "run" / "states"), key=int)))
    assert all(np.isfinite(array).all() for name, array in arrays.items() if "params" in name)


def test_a_test_text_of_three_tokens_is_enough(tmp_path):
    """Fewer than the ten streams of an evaluation."""
    data = write_corpus(tmp_path / "text")
    (tmp_path / "text" / "test.txt").write_text("ab")
    rows = lm_jax.train(toy_config(data, steps=1), tmp_path / "run").results.closing.rows
    assert {row.tokens for row in rows if row.split == "test"} == {3}  # with the end of the line
    assert all(math.isfinite(row.cross_entropy) for row in rows)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"optimizer": "rmsprop"}, "optimizer must be one of sgd, adam, adamw, got 'rmsprop'"),
        ({"averaging": "sma"}, "averaging must be one of none, ema, ntasgd, got 'sma'"),
        ({"level": "foo"}, "level must be one of char, byte, word, bpe, got 'foo'"),
        ({"mode": "sentences"}, "mode must be one of stream, sentence, got 'sentences'"),
        ({"schedule": "plato"}, "schedule must be one of constant, cosine, plateau, got 'plato'"),
        ({"random_bptt": "no"}, "random_bptt must be true or false, got 'no'"),
        ({"tied": 1}, "tied must be true or false, got 1"),
    ],
)
def test_choices_of_a_script_are_checked_too(tmp_path, changes, message):
    text = write_corpus(tmp_path / "text")
    with pytest.raises(lm_jax.UserError, match=message):
        lm_jax.train(toy_config(text, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()
