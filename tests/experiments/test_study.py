"""The harness: words of a docstring, the command that is recorded, pages without a run, rounds by turns."""

import json
import sys

import pytest

from experiments.harness import Findings, Study, Verdict, integer
from experiments.harness.study import text_table
from experiments.harness.timing import by_turns, medians, minima, stepper, timed


DOC = """Is it so?

    python experiments/uses/so.py     a minute

What is measured.

Expected: it is so,
by more than 3.

More words.
"""
OPTIONS = {"--seeds": {"type": int, "default": 3}, "--data": {}, "--forms": {"nargs": "*"}, "part": {"nargs": "?"}}


@pytest.fixture
def study(tmp_path):
    return Study(DOC, tmp_path / "uses" / "so.py", OPTIONS, runs="shared")


def results_of(arguments):
    return {"n": 1, "folder": arguments.runs.name}


def findings(results):
    verdicts = [Verdict("more than 3", "1", results["n"] > 3), Verdict("so", "-", None)]
    rows = [{"a": 1.23456, "b": None}]
    answer = f"It is, {results['n']} time."
    return Findings("It is so", answer, verdicts, [{"a": "1 [0, 2]"}], rows, {"a": "of it"}, seeds=[0, 1])


def run(study, monkeypatch, *words, find=results_of, say=findings):
    monkeypatch.setattr(sys, "argv", ["so.py", *map(str, words)])
    study.main(find, say)


def test_question_and_expectation_are_those_of_the_docstring(study):
    assert (study.question, study.expected) == ("Is it so?", "it is so, by more than 3.")
    assert (study.script, study.results.parts[-3:]) == ("experiments/uses/so.py", ("results", "uses", "so"))
    assert study.runs.as_posix() == "checkpoints/shared"


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ([], ""),
        (["--seeds", "3", "--out", "/tmp/x", "--runs", "/tmp/y"], ""),
        (["--smoke", "--seeds", "2"], " --seeds 2 --smoke"),
        (["train", "--data", "/some/where/text"], " --data DATA train"),
        (["two words"], " 'two words'"),
        (["--forms", "one", "two words"], " --forms one 'two words'"),
    ],
)
def test_the_command_has_what_changes_numbers_and_no_paths(study, words, command):
    parser = study.parser()
    assert study.command(parser, parser.parse_args(words)) == f"python experiments/uses/so.py{command}"


def test_a_run_leaves_a_record_and_says_what_it_found(study, tmp_path, monkeypatch, capsys):
    run(study, monkeypatch, "--smoke", "--out", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "so.json").read_text())
    assert record["results"] == {"n": 1, "folder": "smoke"} and record["seeds"] == [0, 1]
    assert record["machine"]["cores"] >= 1 and record["date"].count("-") == 2
    assert study.recorded(tmp_path / "out") == record["results"] and study.recorded(tmp_path) == {}
    assert (record["title"], record["answer"], record["means"]) == ("It is so", "It is, 1 time.", [{"a": "1 [0, 2]"}])
    assert [part["holds"] for part in record["verdicts"]] == [False, None] and "links" not in record
    assert capsys.readouterr().out.split() == ["It", "is,", "1", "time.", "a", "1", "[0,", "2]"]


def adding(study):
    """What a study finds that adds a number for each --seeds to its record."""
    return lambda arguments: study.recorded(arguments.out) | {"n": 1, str(arguments.seeds): arguments.seeds}


def test_a_record_keeps_every_command_that_added_to_it(study, tmp_path, monkeypatch):
    path = tmp_path / "so.json"
    script = f"python {study.script}"
    run(study, monkeypatch, "--out", tmp_path, find=adding(study))
    record = json.loads(path.read_text())
    assert record["command"] == script and "commands" not in record  # as records of before are, too
    for seeds in (2, 5, 2):  # the last finds all of its numbers
        run(study, monkeypatch, "--seeds", seeds, "--out", tmp_path, find=adding(study))
    record = json.loads(path.read_text())
    assert record["commands"] == [script, f"{script} --seeds 2", f"{script} --seeds 5"]
    assert record["command"] == f"{script} --seeds 5" and set(record["results"]) == {"n", "2", "3", "5"}
    shown = ", then ".join(f"<code>{command}</code>" for command in record["commands"])
    assert f"<b>Made by</b> {shown} (" in (tmp_path / "report.html").read_text()


def test_a_command_that_adds_again_is_named_once(study, tmp_path, monkeypatch):
    for k in range(2):
        run(study, monkeypatch, "--out", tmp_path, find=lambda a, k=k: study.recorded(a.out) | {"n": k})
    assert json.loads((tmp_path / "so.json").read_text())["command"] == f"python {study.script}"
    assert "commands" not in json.loads((tmp_path / "so.json").read_text())


def test_a_run_that_begins_anew_forgets_the_commands_of_before(study, tmp_path, monkeypatch):
    run(study, monkeypatch, "--out", tmp_path)
    run(study, monkeypatch, "--seeds", 5, "--out", tmp_path)
    record = json.loads((tmp_path / "so.json").read_text())
    assert record["command"].endswith("--seeds 5") and "commands" not in record


def test_results_are_seen_as_json_has_them(study, tmp_path, monkeypatch):
    seen = []
    found = {"n": 2, 5: (1, float("inf"))}
    run(
        study, monkeypatch, "--out", tmp_path, find=lambda arguments: found, say=lambda r: seen.append(r) or findings(r)
    )
    assert seen == [{"n": 2, "5": [1, None]}] and study.recorded(tmp_path) == seen[0]


def test_the_words_are_written_again_from_the_numbers(study, tmp_path, monkeypatch):
    run(study, monkeypatch, "--out", tmp_path)
    path = tmp_path / "so.json"
    before = json.loads(path.read_text())
    path.write_text(json.dumps(before | {"answer": "Old.", "title": "old", "rows": [], "date": "2020-02-02"}))
    run(study, monkeypatch, "--page", "--out", tmp_path, find=None)
    assert json.loads(path.read_text()) == before | {"date": "2020-02-02"}
    assert "2020-02-02" in (tmp_path / "report.html").read_text()


def test_the_record_of_a_study_has_links(study, tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.harness.study.RESULTS", tmp_path / "experiments" / "results")
    run(study, monkeypatch)
    assert json.loads((study.results / "so.json").read_text())["links"] == {
        "all studies": "../../index.html",
        "script": "../../../uses/so.py",
    }


def test_a_page_is_written_again_without_a_run(study, tmp_path, monkeypatch):
    run(study, monkeypatch, "--out", tmp_path)
    page = tmp_path / "report.html"
    before = page.read_text()
    page.unlink()
    run(study, monkeypatch, "--page", "--out", tmp_path, find=None)
    assert page.read_text() == before


def test_a_run_that_finds_nothing_to_write_writes_nothing(study, tmp_path, monkeypatch):
    run(study, monkeypatch, "--out", tmp_path / "out", find=lambda arguments: None)
    assert not (tmp_path / "out").exists()


def test_a_docstring_without_expectation_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Expected: "):
        Study("Is it so?\n\nIt is.", tmp_path / "so.py")


def test_a_long_table_is_cut():
    lines = text_table([{"n": k} for k in range(35)]).splitlines()
    assert len(lines) == 32 and lines[-1] == "(5 more rows)"


def test_work_goes_by_turns_and_the_first_round_is_to_warm_up():
    calls = []

    def work(name, times):
        return lambda: calls.append(name) or times.pop(0)

    times = by_turns({"a": work("a", [9.0, 1.0, 3.0, 8.0]), "b": work("b", [9.0, 2.0, 2.0, 2.0])}, rounds=3)
    assert calls == ["a", "b"] * 4 and times == {"a": [1.0, 3.0, 8.0], "b": [2.0] * 3}
    assert minima(times) == {"a": 1.0, "b": 2.0} and medians(times) == {"a": 3.0, "b": 2.0}


def test_a_stepper_hands_the_state_on_and_says_what_a_step_took():
    seen = []
    step = stepper(lambda state, more: seen.append(state) or state + more, 1)
    assert step(2) >= 0 and step(3) >= 0 and seen == [1, 3]
    took, result = timed(lambda: "found")
    assert took >= 0 and result == "found"


def test_an_option_that_is_a_whole_number(tmp_path):
    study = Study(DOC, tmp_path / "uses" / "so.py", {"--rounds": integer(3, "of what")})
    assert study.parser().parse_args([]).rounds == 3 and study.parser().parse_args(["--rounds", "5"]).rounds == 5
