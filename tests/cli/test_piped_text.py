"""Text from standard input and from a folder of files: training, counting, scoring, and going on with such a run."""

import io
import json
import shutil

import pytest

import lm_jax
from lm_jax.runs.kept_text import KEPT
from lm_jax.runs.open import open_run
from lm_jax.tasks import SavedData
from tests.cli.conftest import tree
from tests.queries.untrained import untrained
from tests.runs.toy import assert_equal_runs, toy_config


SIZES = "--hidden-size 8 --embedding-size 4 --batch-size 4 --bptt 8 --log-every 2 --eval-every 3 --schedule constant"
TOY_FLAGS = SIZES.split()
LINES = [f"a bad cab {'dab ' * (number % 5)}cad\n" for number in range(120)]
TEXT = "".join(LINES)


@pytest.fixture
def pipe(monkeypatch):
    """`pipe(text)` puts a text on standard input, which is otherwise a terminal."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def put(text):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    monkeypatch.setattr("sys.stdin", Terminal())
    return put


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def moved(command, pipe, tmp_path):
    """A run of a piped text, at a place where it was not made: its folder alone is what there is of the text."""
    pipe(TEXT)
    code, out, err = command("train", "-", *TOY_FLAGS, "--steps", 4, "--run", "piped")
    assert (code, err) == (0, "") and "data: standard input" in out
    pipe("")
    return shutil.move(tmp_path / "piped", tmp_path / "moved")


def recorded(run):
    """Where the data of a run are from, as its folder says."""
    return json.loads((run / "config.json").read_text())["config"]["data"]["data"]


def test_a_piped_text_trains_and_its_run_stands_alone(command, moved):
    assert (moved / KEPT).read_text() == TEXT and recorded(moved) == "-"
    assert open_run(moved).record["corpus"]["source"] == "standard input"
    assert command("evaluate", "moved")[0] == 0


@pytest.mark.slow
def test_a_run_of_a_piped_text_is_resumed_bit_for_bit(command, moved, tmp_path):
    assert command("train", "--resume", "moved", "--run", "copied", "--steps", 9)[0] == 0
    assert (tmp_path / "copied" / KEPT).read_text() == TEXT and recorded(tmp_path / "copied") == "-"
    (tmp_path / "text.txt").write_text(TEXT)
    assert command("train", "text.txt", *TOY_FLAGS, "--steps", 9, "--run", "straight")[0] == 0
    assert_equal_runs("copied", "straight", 9)


def test_without_its_text_a_run_goes_on_with_the_same_text_alone(command, pipe, tmp_path):
    pipe(TEXT)
    untrained(toy_config("-"), tmp_path / "piped")
    before = tree(tmp_path)
    pipe(TEXT + "a\n")
    code, _, err = command("train", "--resume", "piped")
    assert code == 2 and err.endswith("(standard input), got another text from standard input\n")
    pipe(TEXT)
    opened = open_run("piped")
    data = opened.task.load(opened.config, SavedData(opened.vocabulary, opened.record["corpus"]))
    assert data.stream == TEXT.encode() and tree(tmp_path) == before


def test_a_piped_text_is_counted(command, pipe, tmp_path):
    pipe(TEXT)
    code, out, _ = command("ngram", "train", "--data", "-", "--order", 3, "--run", "piped")
    assert code == 0 and (tmp_path / "piped" / KEPT).read_text() == TEXT
    code, out, err = command("evaluate", "piped", "--json")
    assert (code, err) == (0, "")
    pipe(TEXT)
    again = command("evaluate", "piped", "--data", "-", "--json")[1]
    assert {**json.loads(out), "seconds": 0} == {**json.loads(again), "seconds": 0}
    assert lm_jax.compare(["piped"])[0].perplexity == pytest.approx(json.loads(out)["perplexity"], rel=1e-6)


@pytest.mark.parametrize(
    "words", [["train", "-"], ["train", "--data", "-"], ["ngram", "train", "-"], ["ngram", "train", "--data", "-"]]
)
def test_a_terminal_is_one_line_and_nothing_is_written(words, command, pipe, tmp_path):
    code, out, err = command(*words)
    assert (code, out, tree(tmp_path)) == (2, "", {})
    assert err == (
        "error: standard input must be a pipe or a file, got a terminal; for example: cat my.txt | lm-jax ... -, "
        "or give the name of the file\n"
    )


@pytest.mark.parametrize("words", [["score", "RUN"], ["score", "RUN", "-"], ["evaluate", "RUN", "--data", "-"]])
def test_scoring_from_a_terminal_is_one_line(words, command, pipe, finished):
    code, out, err = command(*[finished if word == "RUN" else word for word in words])
    assert (code, out) == (2, "") and "got a terminal" in err and err.count("\n") == 1


def test_a_folder_of_chapters_trains_and_says_how(command, tmp_path):
    (tmp_path / "book").mkdir()
    for number in range(12):
        (tmp_path / "book" / f"ch_{number}.txt").write_text("".join(LINES[10 * number : 10 * number + 10]))
    said = "12 text files joined (ch_0.txt to ch_11.txt), split by position"
    code, out, err = command("train", "book", *TOY_FLAGS, "--steps", 4, "--run", "run")
    assert (code, err) == (0, "") and said in out
    code, out, _ = command("ngram", "train", "--data", "book", "--order", 2, "--run", "counts")
    assert code == 0 and f"note: {said}" in out
    (tmp_path / "whole.txt").write_text(TEXT)
    shas = [lm_jax.load(run).record["corpus"]["sha256"] for run in ("run", "counts")]
    assert shas == [lm_jax.data.load_corpus("whole.txt").sha256] * 2
    code, _, err = command("evaluate", "run", "--data", "book")
    assert (code, err) == (0, f"book: {said}\n")
    code, _, err = command("evaluate", "run", "--data", "book", "--split", "all")
    assert (code, err) == (0, f"book: {said.removesuffix(', split by position')}\n")
