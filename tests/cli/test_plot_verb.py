"""plot: the losses of runs in one picture, and their logs as CSV."""

import csv
import io
import json
import shutil

import pytest

import lm_jax
from lm_jax.config import NGramConfig, from_flat
from lm_jax.queries import learning_curves
from lm_jax.report import learning_curves as report
from tests.cli.conftest import tree
from tests.cli.test_bad_input import assert_refused


@pytest.fixture
def pair(finished, tmp_path):
    """A finished run, and one that is on its way and better."""
    folder = tmp_path / "runs"
    shutil.copytree(finished, folder / "a_$1")
    shutil.copytree(finished, folder / "on-the-way")
    (folder / "on-the-way" / "results.json").unlink()
    lines = [
        {"step": 5, "loss": 1.5, "grad_norm": 0.5, "clipped": 0.0, "learning_rate": 0.1},
        {"step": 10, "valid_loss": 1.25, "best": True},
        {"step": 15, "loss": None, "grad_norm": None, "clipped": 0.0, "learning_rate": 0.1},
        {"step": 20, "valid_loss": 1.5, "best": False},
    ]
    (folder / "on-the-way" / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "a_$1", folder / "on-the-way"


def test_curves_are_the_lines_of_the_logs_and_nothing_is_written(pair):
    before = tree(pair[0].parent)
    first, second = learning_curves(pair)
    lines = [json.loads(line) for line in (pair[0] / "metrics.jsonl").read_text().splitlines()]
    assert [(p.step, p.loss) for p in first.points if p.loss] == [(r["step"], r["loss"]) for r in lines if "loss" in r]
    assert [(p.step, p.loss, p.valid_loss) for p in second.points] == [
        (5, 1.5, None), (10, None, 1.25), (15, None, None), (20, None, 1.5)
    ]  # fmt: skip
    assert second.best is not None and (second.best.step, second.best.valid_loss) == (10, 1.25)
    assert first.loss_label == "cross-entropy (nats per character)"
    assert tree(pair[0].parent) == before


def test_the_picture_has_the_lines_and_tells_the_finding(pair):
    curves = learning_curves(pair)
    (axes,) = report.figure(curves).axes
    assert axes.get_title(loc="left") == "Lowest validation loss of 2 runs: on-the-way, 1.250 at step 10"
    drawn = [tuple(line.get_xdata()) for line in axes.lines]
    assert drawn[2:] == [(5,), (10, 20)] and len(drawn) == 4
    assert [text.get_text() for text in axes.texts][::-1] == [r"a_\$1", "on-the-way"]


def test_the_verb_draws_and_prints(pair, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    runs = [str(run) for run in pair]
    output = command("plot", *runs)[1]
    assert "Lowest validation loss of 2 runs: on-the-way, 1.250 at step 10" in output.replace("\n", " ")
    assert (tmp_path / "losses.png").read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "losses.png").unlink()
    rows = list(csv.DictReader(io.StringIO(command("plot", *runs, "--csv")[1])))
    assert rows[-1] == dict(run=runs[1], step="20", loss="", valid_loss="1.5", grad_norm="", learning_rate="")
    record = json.loads(command("plot", *runs, "--json", "--out", "curves.svg")[1])
    assert record["points"][-3]["valid_loss"] == 1.25 and record["loss"] == "cross-entropy (nats per character)"
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["curves.svg"]


def test_what_has_no_curve_is_refused(pair, corpus, tmp_path, command):
    lm_jax.train(from_flat(NGramConfig, {"data": corpus, "order": 2}), tmp_path / "bigram")
    run = str(pair[0])
    assert_refused(command("plot", str(tmp_path / "bigram")), "trained in steps")
    assert_refused(command("plot", str(tmp_path)), "without config.json")
    assert_refused(command("plot", run, run), f"got {run} twice")
    assert_refused(command("plot", run, "--out", "curves.gif"), "--out must end with .png, .svg, .pdf")
    assert_refused(command("plot", run, "--out", str(tmp_path / "no" / "a.png")), "in a folder that exists")
    assert_refused(command("plot"), "RUN")
    (pair[1] / "metrics.jsonl").write_text("")
    assert_refused(command("plot", run, str(pair[1])), "got none yet")
