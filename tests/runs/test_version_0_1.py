"""Runs that version 0.1 wrote are read by every later one: loaded, scored, and gone on with."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import lm_jax
from lm_jax.cli.main import main


GOLDEN = Path(__file__).parents[1] / "golden"
TEXT = str(GOLDEN / "run_0_1_text")
RESUMED_LOSS = 1.3278931666697775  # the validation loss that version 0.1 itself ended with, gone on to step 30


@pytest.fixture
def old_run(tmp_path):
    """`old_run(name)`: a copy of a run of the golden folder, so that no test writes there."""
    return lambda name: Path(shutil.copytree(GOLDEN / name, tmp_path / name))


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def recorded_cross_entropy(run, model):
    """Of the test text, in the closing table that was written with the run."""
    rows = json.loads((run / "results.json").read_text())["rows"]
    (row,) = [row for row in rows if row["split"] == "test" and row["model"] == model]
    return row["cross_entropy"]


@pytest.mark.parametrize(("name", "model"), [("run_0_1", "LSTM 1x8"), ("ngram_0_1", "3-gram MKN")])
def test_a_run_of_0_1_scores_as_it_did(name, model, old_run):
    run = old_run(name)
    found = lm_jax.evaluate(run, data=TEXT, split="test")
    assert found.cross_entropy == pytest.approx(recorded_cross_entropy(run, model), abs=1e-6)
    assert found.tokens == 122


@pytest.mark.parametrize("name", ["run_0_1", "ngram_0_1"])
def test_a_run_of_0_1_is_loaded(name, old_run):
    trained = lm_jax.load(old_run(name))
    model, params, vocabulary = trained.model, trained.params, trained.vocabulary
    tokens = vocabulary.encode("a cab\n")
    assert vocabulary.decode(tokens) == "a cab\n"
    scores = lm_jax.inference.token_log_probs(model, params, tokens, vocabulary.eol_id, eval_streams=1)
    assert scores.shape == (6,) and np.all(scores < 0)


def test_a_run_of_0_1_goes_on(old_run):
    """From the newest checkpoint, 20, not from the best, 18, and with all that the optimiser and the average had
    gathered: the loss at the end is the one that version 0.1 reached."""
    run = old_run("run_0_1")
    before = [record for record in lines(run / "metrics.jsonl") if not record.get("closing")]
    main(["train", "--resume", str(run), "--data", TEXT, "--steps", "30"])
    after = lines(run / "metrics.jsonl")
    assert after[: len(before)] == before and [r["step"] for r in after[len(before) :]] == [25, 30, 30]
    assert lines(run / "times.jsonl")[-1]["from"] == 20
    results = json.loads((run / "results.json").read_text())
    assert results["step"] == 30 and not results["stopped"]
    assert after[-1]["valid_loss"] == pytest.approx(RESUMED_LOSS, rel=1e-3)
