"""The cost of a training: kept beside the run, added up over its sessions, told only where all of them are known."""

import time

import pytest

from experiments.harness import costs
from experiments.harness.costs import FILE, PROCESSOR, cost_columns, cost_of, counted, known_cost, within


@pytest.fixture
def clock(monkeypatch):
    """A process that spends the seconds named."""
    spent = [0.0]
    monkeypatch.setattr(time, "process_time", lambda: spent[0])
    monkeypatch.setattr(costs, "in_words", lambda: "a processor, 2 cores")
    return lambda seconds: spent.__setitem__(0, spent[0] + seconds)


def train(folder, clock, seconds):
    with counted(folder):
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text("{}")
        clock(seconds)


def test_the_processor_seconds_of_sessions_add_up(tmp_path, clock, monkeypatch):
    folder = tmp_path / "run"
    clock(100)
    train(folder, clock, 3)
    assert cost_of(folder) == {PROCESSOR: 3.0, "machine": "a processor, 2 cores"}
    train(folder, clock, 4)
    assert cost_of(folder) == {PROCESSOR: 7.0, "machine": "a processor, 2 cores"}
    monkeypatch.setattr(costs, "in_words", lambda: "another")
    train(folder, clock, 1)
    assert cost_of(folder) == {PROCESSOR: 8.0, "machine": "a processor, 2 cores; then another"}


def test_a_session_that_failed_counts(tmp_path, clock):
    folder = tmp_path / "run"
    with pytest.raises(ZeroDivisionError), counted(folder):
        folder.mkdir()
        clock(2)
        raise ZeroDivisionError
    assert cost_of(folder)[PROCESSOR] == 2.0


def test_a_run_with_a_session_that_is_not_known_has_no_cost(tmp_path, clock):
    begun_before = tmp_path / "before"
    begun_before.mkdir()
    (begun_before / "config.json").write_text("{}")
    train(begun_before, clock, 3)
    assert cost_of(begun_before) == {}
    killed = tmp_path / "killed"
    train(killed, clock, 3)
    with counted(killed):
        assert not (killed / FILE).exists()  # what a session leaves that is killed here
    (killed / FILE).unlink()
    train(killed, clock, 3)
    assert cost_of(killed) == {}


def test_a_training_that_left_no_folder_leaves_no_cost(tmp_path, clock):
    with counted(tmp_path / "none"):
        clock(1)
    assert not (tmp_path / "none").exists()


def test_processor_seconds_are_a_column_where_they_are_known():
    old, new = {"seconds": 60.0}, {"seconds": 80.0, PROCESSOR: 100.0, "machine": "m"}
    assert known_cost(old) == {} and known_cost(new) == {PROCESSOR: 100.0}
    assert list(cost_columns([old])) == ["seconds"]
    write = cost_columns([old, new])
    assert write["seconds"]([60.0, 80.0, None]) == "60 [60, 80]"
    assert write[PROCESSOR]([None, 100.0]) == "100" and write[PROCESSOR]([None]) == "-"


def test_a_bound_is_judged_by_the_wall_time_of_the_fastest_run():
    slow, fast = {"seconds": 4000.0, PROCESSOR: 10.0}, {"seconds": 3000.0}
    verdict = within(45, [slow, fast])
    assert not verdict.holds and "45 minutes" in verdict.expected
    assert verdict.found == "50.0 minutes, missed by 5.0 minutes, machine not recorded"
    known = fast | {PROCESSOR: 2400.0, "machine": "a processor, 2 cores"}
    assert within(45, [slow, known]).found == (
        "50.0 minutes (40.0 of processor time), missed by 5.0 minutes, on a processor, 2 cores"
    )
    assert within(50, [slow, known])._replace(expected="") == (
        "",
        "50.0 minutes (40.0 of processor time), on a processor, 2 cores",
        True,
    )
    assert within(45, []).holds is None and within(45, [{"seconds": None}]).found == "-"
