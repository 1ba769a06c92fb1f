"""The recorded results: every study has a record, words and a page made of it, and a place in the index."""

import html
import importlib
import json
import re

import pytest
from matplotlib.figure import Figure

from experiments.make_index import (
    HERE,
    card,
    entry,
    index,
    is_recorded,
    page,
    record_of,
    scripts,
    side_by_side,
    table_row,
)
from lm_jax.report.page import to_html
from lm_jax.report.study import read_record
from lm_jax.report.verdict import overall
from lm_jax.strict_json import to_json


STUDIES = [entry(script) for script in scripts()]
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")
WORDS, NUMBERS, LARGEST = 25, 3, 1_000_000  # of an answer; bytes of a file


def test_every_kind_of_question_has_studies():
    assert {found.study.folder for found in STUDIES} == {
        "gradients",
        "recurrences",
        "language_models",
        "tasks",
        "uses",
        "benchmarks",
    }
    assert len(STUDIES) >= 36 and all(map(is_recorded, STUDIES))


@pytest.mark.parametrize("found", STUDIES, ids=lambda found: found.study.name)
class TestRecord:
    """Of one study."""

    def test_its_words_are_those_of_the_script(self, found):
        record = read_record(found.study.results, found.study.name)
        assert (record.question, record.expected) == (found.study.question, found.study.expected)
        for command in record.all_commands:
            assert command.startswith(f"python {found.study.script}") and "smoke" not in command
        assert record.command == record.all_commands[-1]
        assert record.answer and record.rows and record.seeds and record.versions["python"]

    def test_its_answer_is_one_short_sentence(self, found):
        record = read_record(found.study.results, found.study.name)
        assert len(record.answer.split()) <= WORDS and len(NUMBER.findall(record.answer)) <= NUMBERS
        assert record.answer.endswith(".") and not re.search(r"\. [A-Z]", record.answer) and "nan" not in record.answer
        assert record.title and not record.title.endswith(".")

    def test_its_columns_are_explained_and_its_expectation_judged(self, found):
        record = read_record(found.study.results, found.study.name)
        assert {name for table in (record.rows, record.means) for row in table for name in row} <= record.columns.keys()
        assert record.verdicts and all(part["expected"] and part["found"] for part in record.verdicts)
        assert any(part["holds"] is not None for part in record.verdicts)

    def test_what_it_says_is_computed_from_its_numbers(self, found, monkeypatch):
        monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "8")  # one of the scripts sets it; the others see no change
        monkeypatch.setattr(Figure, "draw_without_rendering", lambda figure: None)  # pictures are not looked at here
        record = read_record(found.study.results, found.study.name)
        module = importlib.import_module(f"experiments.{found.study.folder}.{found.study.name}")
        computed = module.findings(record.results)
        words = module.STUDY.words(computed, found.study.results)
        assert json.loads(to_json(words)) == json.loads(to_json({name: getattr(record, name) for name in words}))
        assert json.loads(to_json(list(computed.rows))) == record.rows

    def test_its_page_is_made_of_it(self, found):
        folder = found.study.results
        record = read_record(folder, found.study.name)
        images = [((folder / f"{name}.png").read_bytes(), caption) for name, caption in record.figures.items()]
        text = (folder / "report.html").read_text()
        assert text == to_html(record._asdict(), images) and html.escape(record.answer) in text
        assert overall([part["holds"] for part in record.verdicts]) in text
        assert {path.stem for path in folder.glob("*.png")} == record.figures.keys()
        links = re.findall(r'href="([^"]+)"', text)
        assert len(links) == 4 and all((folder / link).is_file() for link in links)

    def test_its_files_are_small(self, found):
        assert max(path.stat().st_size for path in found.study.results.iterdir()) < LARGEST

    def test_it_says_how_long_it_takes(self, found):
        assert any(unit in found.time for unit in ("second", "minute", "the same"))


@pytest.mark.parametrize("name", ["source_gradients", "sparsity", "translation", "tagging"])
def test_the_time_in_the_index_is_that_of_the_command_with_data_where_the_record_was_made_with_it(name):
    found = next(one for one in STUDIES if one.study.name == name)
    assert "--data" in record_of(found).command
    timed = next(line for line in found.script.read_text().splitlines() if line.endswith(found.time))
    assert timed.startswith(f"    python {found.study.script} --data FOLDER ")


def test_the_index_is_up_to_date():
    assert (HERE / "README.md").read_text() == index()
    assert (HERE / "results" / "index.html").read_text() == page()


def test_the_index_has_every_study_and_its_links_lead_somewhere():
    text, readme = page(), index()
    lines = sum(1 + len(rows) for rows in side_by_side().values())  # of tables beside those of the studies
    assert text.count("<article>") == len(STUDIES)
    assert readme.count("\n| ") == len(STUDIES) + text.count("<h2>") + lines
    for link in set(re.findall(r'(?:href|src)="([^"]+)"', text)):
        assert (HERE / "results" / link).is_file(), link


def test_the_index_has_every_command_of_a_record(monkeypatch):
    found = next(one for one in STUDIES if one.study.name == "translation")
    record = record_of(found)
    two = [f"python {found.study.script}", f"python {found.study.script} --seeds 2"]
    monkeypatch.setattr("experiments.make_index.record_of", lambda _: record._replace(command=two[1], commands=two))
    assert f"[`{two[0]}`](tasks/translation.py), then [`{two[1]}`](tasks/translation.py)" in table_row(found)
    assert f"<code>{two[0]}</code>, then <code>{two[1]}</code>, " in card(found)


def test_no_results_without_a_study():
    folders = {
        path.relative_to(HERE / "results").as_posix() for path in (HERE / "results").glob("*/*") if path.is_dir()
    }
    assert folders == {f"{found.study.folder}/{found.study.name}" for found in STUDIES}
