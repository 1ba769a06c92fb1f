"""The one table of the studies of recurrences: made of records, and "not run" where there is none."""

import json
from pathlib import Path

import pytest

from experiments.recurrences.architectures import TITLES, TWELVE
from experiments.recurrences.memory_findings import STAGES
from experiments.recurrences.table import BRIEF, COLUMNS, NOT_RUN, TASKS, cell, grid, markdown, rows, sentence, values


def write(folder, name, results):
    words = {"name": name, "title": "t", "question": "q", "expected": "e", "answer": "a", "command": "c"}
    (folder / name).mkdir()
    text = json.dumps({**words, "results": results, "rows": [], "versions": {}})
    (folder / name / f"{name}.json").write_text(text)


@pytest.fixture
def folder(tmp_path):
    sizes = {"parameters": 9, "state": 8}
    tracked = [
        {"network": "lstm", "task": task, "seed": seed, **sizes, "history": [[10, 0.1, 1.0, share]]}
        for task, shares in zip(TASKS, ((0.9, 1.0, 0.99), (0.2, 0.3, 0.1), (1.0, 1.0, 0.4)), strict=True)
        for seed, share in enumerate(shares)
    ]
    write(tmp_path, "state_tracking", {"measured": tracked})
    recalled = [
        {"network": "lstm", "size": size, "seed": 0, **sizes, "history": [[10, 0.1]]}
        | {"shares": {"4": 1.0, "8": 1.0, "16": 0.9, "32": share}}
        for size, share in ((16, 0.25), (32, 0.5))
    ]
    write(tmp_path, "recall", {"measured": recalled})
    remembered = [
        {"network": name, "stage": STAGES[1], "horizon_1": lag, "exponent": exponent}
        for name, lag, exponent in (("lstm", 17, -0.25), ("attention", None, None))
    ]
    write(tmp_path, "memory", {"measured": remembered, "max_lag": 130})
    return tmp_path


def test_columns_are_those_of_the_records(folder):
    found = values(folder)
    assert [found[task]["lstm"] for task in TASKS] == [0.99, 0.2, 1.0]  # medians
    assert found["recall"] == {"lstm": 0.5} and found["horizon"]["lstm"] == 17
    assert "bits" not in found  # the study of language has no record here


def test_there_is_a_row_for_each_of_the_twelve_and_what_was_not_run_is_said(folder):
    table = {row[""]: row for row in rows(values(folder))}
    assert list(table) == [TITLES[name] for name in TWELVE]
    lstm, attention, lru = table["LSTM"], table["attention"], table["LRU"]
    assert [lstm[column] for column in COLUMNS][:6] == ["99 %", "20 %", "100 %", "50 %", NOT_RUN, "17"]
    assert lstm["exponent"] == "-0.25" and attention["exponent"] == "-inf" and attention["horizon"] == "beyond all"
    assert {lru[column] for column in COLUMNS} == {NOT_RUN} and lru["in a sentence"] == "Not run."
    assert lstm["in a sentence"] == (
        "Follows parity and even pairs (parity as published); does not recall 32 pairs; loses 99 % of the gradient "
        "within 17 characters."
    )


def test_an_answer_unlike_the_published_one_is_called_so():
    assert "unlike published" in sentence("lstm", {"parity": 0.5})
    assert "unlike published" in sentence("mingru", {"parity": 1.0})
    assert "as published" in sentence("attention", {"parity": 0.5})
    assert "published" not in sentence("cornn", {"parity": 0.5})


def test_a_network_beside_the_twelve_has_a_row_where_a_record_has_it():
    table = rows({"bits": {"cornn": 2.346}})
    assert len(table) == 13 and table[-1]["bits"] == "2.35"
    assert table[-1][""] == "coRNN" and table[-1]["in a sentence"].startswith("Reads at 2.3")


def test_the_table_as_markdown():
    lines = markdown(rows({})).splitlines()
    assert len(lines) == 2 + 12 + 2 and {line.count("|") for line in lines[:14]} == {len(COLUMNS) + 3}
    assert cell("carry", 24392.0) == "24.4" and cell("trained", 16846.2) == "16,846"


def test_the_readme_has_the_table_of_the_records():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    table = grid(rows(values()), BRIEF)
    assert table in readme and NOT_RUN not in table
