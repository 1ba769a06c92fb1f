"""What a study leaves: a page that needs nothing else, JSON that everybody reads, labels that do not overlap."""

import csv
import itertools
import json
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lm_jax.report.study import Picture, Record, read_record, remember, versions, write_page, write_study
from lm_jax.report.style import label_ends
from lm_jax.strict_json import to_json


WORDS = {
    "title": "A < B",
    "question": "is it?",
    "expected": "it is",
    "answer": "It is, by 3 & more.",
    "command": "python experiments/x.py",
}
ROWS = [{"model": "rnn", "horizon": 7}, {"model": "<unk>", "horizon": None, "factor": np.float32(0.5)}]


RECORD = Record(name="x", **WORDS, results={"n": np.int64(2)}, rows=ROWS, versions=versions())


def picture():
    figure = Figure()
    figure.add_subplot().plot([1, 2], [1, 10])
    return Picture("curve", figure, "what is left")


def test_json_has_no_infinity_and_no_numpy():
    record = {0.1: np.float64(np.inf), "a": [np.int32(3), float("nan"), np.arange(2)], "b": (True, None, "x")}
    assert json.loads(to_json(record)) == {"0.1": None, "a": [3, None, [0, 1]], "b": [True, None, "x"]}


def test_the_files_of_a_study(tmp_path):
    written = write_study(tmp_path / "new", RECORD, [picture()])
    assert [path.name for path in written] == ["x.json", "x.csv", "curve.png", "report.html"]
    record = json.loads((tmp_path / "new" / "x.json").read_text())
    assert record["results"] == {"n": 2} and record["rows"][1]["factor"] == 0.5 and record["answer"] == WORDS["answer"]
    with (tmp_path / "new" / "x.csv").open() as file:
        assert next(iter(csv.DictReader(file))) == {"model": "rnn", "horizon": "7", "factor": ""}
    assert (tmp_path / "new" / "curve.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "new" / "report.html").read_text()
    assert not re.search(r'src="(?!data:)', page) and re.findall(r'href="([^"]+)"', page) == ["x.json", "x.csv"]
    body = page[page.index("<body>") :]
    assert body.index("It is, by 3 &amp; more.") < body.index("is it?")
    assert "<td>&lt;unk&gt;</td><td>-</td><td>0.5</td>" in body and "A &lt; B" in page


def test_a_page_is_made_again_from_record_and_pictures(tmp_path):
    write_study(tmp_path, RECORD._replace(seeds=[0, 1], machine={"cores": 2}, date="2025-01-31"), [picture()])
    page = (tmp_path / "report.html").read_text()
    assert "cores 2, seeds 0, 1, 2025-01-31" in page and "<figcaption>what is left</figcaption>" in page
    (tmp_path / "report.html").unlink()
    assert write_page(tmp_path, "x").read_text() == page
    assert read_record(tmp_path, "x").figures == {"curve": "what is left"}


def test_a_picture_without_a_figure_is_the_file_that_lies_there(tmp_path):
    write_study(tmp_path, RECORD, [picture()])
    before = (tmp_path / "curve.png").read_bytes()
    written = write_study(tmp_path, RECORD, [Picture("curve", None, "kept"), Picture("never", None, "not there")])
    assert (tmp_path / "curve.png").read_bytes() == before and tmp_path / "never.png" not in written
    assert read_record(tmp_path, "x").figures == {"curve": "kept"}


def test_a_page_judges_the_expectation_and_folds_the_rows_away(tmp_path):
    verdicts = [
        {"expected": "a < b", "found": "1", "holds": True},
        {"expected": "fast", "found": "-", "holds": None},
    ]
    means = [{"model": "rnn", "horizon": "7 [6, 8]"}, {"task": "copy", "score": 1}]
    more = {"means": means, "columns": {"horizon": "in words", "other": "unused"}}
    write_study(tmp_path, RECORD._replace(verdicts=verdicts, links={"script": "../x.py"}, **more), [])
    page = (tmp_path / "report.html").read_text()
    assert '<span class="mark">partly</span>' in page and "<td>a &lt; b</td><td>1</td><td>holds</td>" in page
    assert "<td>fast</td><td>-</td><td>not measured</td>" in page and '<a href="../x.py">script</a>' in page
    assert "<dt>horizon</dt><dd>in words</dd>" in page and "unused" not in page
    assert page.count("<h2>") == 1 and page.count("<table>") == 3  # two of means, as their columns differ, and the rows
    folded = page[page.index("<details><summary>All 2 rows") :]
    assert "7 [6, 8]" in page[: page.index("<details>")] and "&lt;unk&gt;" in folded
    assert "color-scheme: light dark" in page and "@media (prefers-color-scheme: dark)" in page


def test_what_is_not_known_is_left_out_of_a_record(tmp_path):
    write_study(tmp_path, RECORD, [])
    assert (
        not {"seeds", "machine", "date", "verdicts", "means", "links", "commands"}
        & json.loads((tmp_path / "x.json").read_text()).keys()
    )


def test_a_finished_part_is_not_computed_again(tmp_path):
    calls = []
    path = tmp_path / "parts" / "a.json"

    def compute():
        calls.append(None)
        return {"value": np.float32(1.5)}

    assert remember(path, compute) == remember(path, compute) == {"value": 1.5}
    assert len(calls) == 1


def test_a_part_that_failed_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        remember(tmp_path / "a.json", lambda: {"value": 1 / 0})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("values", [[1, 1, 1, 1], [1e-30, 1e-29, 1e-28, 5, 6, 7], [100, 100, 99], [3], [1e-9] * 3])
def test_labels_do_not_cover_each_other_and_stay_inside(values):
    figure = Figure(figsize=(5, 4))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_yscale("log")
    axes.set_ylim(1e-6, 100)
    label_ends(axes, [(1, value, str(place), "black") for place, value in enumerate(values)])
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert len(boxes) == len(values)
    assert all(low.y1 <= high.y0 + 0.5 for low, high in itertools.pairwise(boxes))
    assert boxes[0].y0 > axes.bbox.y0 - 15 and boxes[-1].y1 < axes.bbox.y1 + 15
    order = [int(text.get_text()) for text in axes.texts]
    assert [values[k] for k in order] == sorted(values)


def test_labels_stand_at_their_lines_with_automatic_limits():
    figure = Figure(figsize=(5, 4))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1000], [50, 90], [0, 1000], [50, 10])
    label_ends(axes, [(1000, 90, "high", "black"), (1000, 10, "low", "black")])
    figure.draw_without_rendering()
    for text, y in zip(sorted(axes.texts, key=lambda text: text.get_text()), (90, 10), strict=True):
        box, (x_line, y_line) = text.get_window_extent(), axes.transData.transform((1000, y))
        assert 0 < box.x0 - x_line < 20 and box.y0 < y_line < box.y1
