"""Runs of a study: trained once, then only read; trained on where more is asked for; n-grams too."""

import json

import pytest

from experiments.harness.runs import epoch_streams, finished, lines_of, trained
from lm_jax.config import DataConfig, NGramConfig, RecurrentConfig, TrainConfig
from lm_jax.data import Batches


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat\n" * 200)
    return DataConfig(str(path))


def config(text, steps):
    model = RecurrentConfig(hidden_size=4, embedding_size=3)
    return TrainConfig(data=text, model=model, batch_size=4, bptt=8, steps=steps, log_every=1, eval_every=steps)


def test_a_run_is_trained_once_and_longer_if_asked(text, tmp_path, capsys):
    folder = tmp_path / "run"
    assert finished(folder, config(text, 2)) is None
    first = trained(config(text, 2), folder)
    assert first.results["step"] == 2 and "training" in capsys.readouterr().out
    again = trained(config(text, 2), folder)
    assert again.results == first.results and "training" not in capsys.readouterr().out
    assert again.cost == first.cost and first.cost["processor seconds"] > 0 and first.cost["machine"]
    longer = trained(config(text, 3), folder)
    assert longer.cost["processor seconds"] > first.cost["processor seconds"]
    assert longer.results["step"] == 3
    assert [line["step"] for line in lines_of(longer.folder) if "loss" in line] == [1, 2, 3]


def test_a_run_that_was_stopped_is_not_finished(text, tmp_path):
    folder = tmp_path / "run"
    results = trained(config(text, 2), folder).results
    (folder / "results.json").write_text(json.dumps(results | {"stopped": True}))
    assert finished(folder, config(text, 2)) is None
    again = trained(config(text, 2), folder).results
    assert not again["stopped"] and again["rows"] == results["rows"]


def test_what_a_crash_left_of_an_ngram_run_is_made_anew(text, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text("{")
    run = trained(NGramConfig(text, order=2), folder)
    assert run.results["rows"] and trained(NGramConfig(text, order=2), folder).results == run.results


def test_streams_of_an_epoch():
    import numpy as np

    batches = Batches(np.arange(100, dtype=np.int32) % 7, 0, 2, 5, "stream", 0)
    tokens, lengths = epoch_streams(batches, 0)
    expected = batches.epoch(0)
    assert np.array_equal(tokens, expected[0]) and np.array_equal(lengths, expected[1])
