"""runs: what lies in a folder, of every task, finished or not."""

import json
import shutil

import pytest

import lm_jax
from lm_jax.config import NGramConfig, from_flat
from lm_jax.queries.list_runs import list_runs
from tests.cli.conftest import tree
from tests.cli.test_bad_input import assert_refused


@pytest.fixture(scope="module")
def folder(corpus, finished, finished_words, tmp_path_factory):
    """Three runs, one that was killed, one that cannot be read, and what is no run."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(finished, folder / "b-chars")
    shutil.copytree(finished_words, folder / "c-words")
    lm_jax.train(from_flat(NGramConfig, {"data": corpus, "order": 2}), folder / "a-bigram")
    shutil.copytree(finished, folder / "d-killed")
    (folder / "d-killed" / "results.json").unlink()
    (folder / "d-killed" / "metrics.jsonl").write_text('{"step": 5, "loss": 1.5}\n')
    (folder / "e-broken").mkdir()
    (folder / "e-broken" / "config.json").write_text("{}")
    (folder / "f-seeds" / "seed-0").mkdir(parents=True)
    (folder / "f-seeds" / "seeds.json").write_text("{}")
    shutil.copy(finished / "config.json", folder / "f-seeds" / "seed-0")
    (folder / "no-run").mkdir()
    (folder / "file").write_text("x")
    return folder


def test_every_run_is_summed_up(folder, finished):
    before = tree(folder)
    runs = {run.run.removeprefix(f"{folder}/"): run for run in list_runs(folder)}
    assert list(runs) == ["a-bigram", "b-chars", "c-words", "d-killed", "e-broken", "f-seeds/seed-0"]
    chars = runs["b-chars"]
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    best = min((line for line in lines if "valid_loss" in line), key=lambda line: line["valid_loss"])
    assert (chars.metric, chars.value, chars.loss) == ("perplexity", best["valid_perplexity"], best["valid_loss"])
    assert (chars.state, chars.step, chars.task, chars.model) == ("finished", 20, "train", "LSTM 1x8")
    assert chars.bytes == sum(len(content) for content in tree(folder / "b-chars").values())
    bigram = runs["a-bigram"]
    rows = json.loads((folder / "a-bigram" / "results.json").read_text())["rows"]
    (valid,) = [row["perplexity"] for row in rows if row["split"] == "valid" and "2-gram" in row["model"]] or [None]
    assert (bigram.metric, bigram.state, bigram.step, bigram.task) == ("perplexity", "finished", None, "ngram train")
    assert valid is None or bigram.value == valid
    killed = runs["d-killed"]
    assert (killed.state, killed.step, killed.metric, killed.value) == ("unfinished", 5, None, None)
    assert runs["e-broken"].state == "unreadable" and runs["e-broken"].model
    assert runs["f-seeds/seed-0"].state == "unfinished"
    assert tree(folder) == before


def test_a_run_that_ended_before_its_first_validation_has_its_closing_one(tmp_path, finished):
    shutil.copytree(finished, tmp_path / "short")
    closing = {"step": 4, "valid_loss": 1.0, "valid_perplexity": 2.7, "best": False, "closing": True}
    (tmp_path / "short" / "metrics.jsonl").write_text(json.dumps(closing) + "\n")
    (short,) = list_runs(tmp_path)
    assert (short.metric, short.value, short.loss) == ("perplexity", 2.7, 1.0)


@pytest.mark.parametrize("sort,first", [("name", "a-bigram"), ("best", None), ("size", None), ("date", None)])
def test_the_order(sort, first, command, folder):
    code, out, err = command("runs", folder, "--sort", sort, "--json")
    runs = json.loads(out)
    assert (code, err, len(runs)) == (0, "", 6)
    assert first is None or runs[0]["run"].endswith(first)
    if sort == "best":
        losses = [run["loss"] for run in runs if run["loss"] is not None]
        assert losses == sorted(losses) and runs[-1]["loss"] is None
    if sort == "size":
        assert [run["bytes"] for run in runs] == sorted((run["bytes"] for run in runs), reverse=True)
    if sort == "date":
        assert [run["date"] for run in runs] == sorted((run["date"] for run in runs), reverse=True)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_fits(width, command, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.chdir(folder.parent)
    shutil.copytree(folder, folder.parent / "checkpoints", dirs_exist_ok=True)
    code, out, _ = command("runs")
    assert code == 0 and all(len(line) <= width for line in out.splitlines())
    assert "checkpoints/b-chars" in out and "perplexity" in out and "finished" in out
    shutil.rmtree(folder.parent / "checkpoints")


def test_no_runs(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(command("runs"), "runs lie in an existing folder, got checkpoints")
    (tmp_path / "checkpoints").mkdir()
    code, out, _ = command("runs")
    assert code == 0 and "there are no runs; to make one: lm-jax train" in out
