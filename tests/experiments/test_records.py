"""The recorded results: every study has a record, a page made of it, and a place in the index."""

import html

import pytest

from experiments.make_index import HERE, entry, index, is_recorded, scripts
from lm_jax.report.page import to_html
from lm_jax.report.study import read_record


STUDIES = [entry(script) for script in scripts()]
NOT_RUN = {"noisy_channel"}  # it needs a translator in each direction
ENTRIES = [found for found in STUDIES if is_recorded(found)]


def test_every_kind_of_question_has_studies():
    assert {found.study.folder for found in ENTRIES} == {"gradients", "language_models", "tasks", "uses", "benchmarks"}
    assert len(ENTRIES) >= 23 and {found.study.name for found in STUDIES if not is_recorded(found)} <= NOT_RUN


@pytest.mark.parametrize("found", ENTRIES, ids=lambda found: found.study.name)
class TestRecord:
    """Of one study."""

    def test_its_words_are_those_of_the_script(self, found):
        record = read_record(found.study.results, found.study.name)
        assert (record.question, record.expected) == (found.study.question, found.study.expected)
        assert record.command.startswith(f"python {found.study.script}") and "smoke" not in record.command
        assert record.answer and record.rows and record.seeds and record.versions["python"]

    def test_its_page_is_made_of_it(self, found):
        folder = found.study.results
        record = read_record(folder, found.study.name)
        images = [((folder / f"{name}.png").read_bytes(), caption) for name, caption in record.figures.items()]
        page = (folder / "report.html").read_text()
        assert page == to_html(record._asdict(), images) and html.escape(record.answer) in page
        assert {path.stem for path in folder.glob("*.png")} == record.figures.keys()

    def test_it_says_how_long_it_takes(self, found):
        assert any(unit in found.time for unit in ("second", "minute", "the same"))


def test_the_index_is_up_to_date():
    assert (HERE / "README.md").read_text() == index()


def test_no_results_without_a_study():
    folders = {
        path.relative_to(HERE / "results").as_posix() for path in (HERE / "results").glob("*/*") if path.is_dir()
    }
    assert folders == {f"{found.study.folder}/{found.study.name}" for found in ENTRIES}
