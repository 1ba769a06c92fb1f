"""`lm-jax classify`: trains, evaluates, predicts, explains; mistakes are one line and write nothing."""

import io
import json
import sys

import pytest

from tests.cli.conftest import tree
from tests.queries.untrained import untrained
from tests.tasks.labelled import classify_config, write_labelled


SMALL = ("--steps", "4", "--batch-size", "4", "--hidden-size", "4", "--embedding-size", "4", "--log-every", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("classify")


@pytest.fixture(scope="module")
def run(folder):
    """A run that is as good as untrained."""
    return str(untrained(classify_config(folder / "texts.tsv"), folder / "run"))


def test_it_trains_and_goes_on(command, folder):
    texts, new = write_labelled(folder / "train.tsv"), folder / "new"
    code, out, err = command("classify", "train", "--data", texts, "--run", new, *SMALL)
    assert code == 0 and err == "" and "2 classes" in out and "naive Bayes" in out
    assert f"next: lm-jax classify predict {new} FILE" in out
    assert max(len(line) for line in out.splitlines()[2:] if str(folder) not in line) <= 80
    code, out, _ = command("classify", "train", "--resume", new, "--steps", "6")
    assert code == 0 and "resumed after step 4" in out


def test_predictions_stream_from_a_file_and_from_standard_input(command, run, folder, monkeypatch):
    (folder / "lines.txt").write_text("good cab\n\npoor a bad\n")
    code, out, err = command("classify", "predict", run, folder / "lines.txt")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0 and err == "" and [row[2:] for row in rows] == [["good cab"], [], ["poor a bad"]]
    assert rows[1] == [""]  # of an empty line, so that lines stand beside those of the file
    assert all(row[0] in ("good", "poor") and 0.5 <= float(row[1]) <= 1 for row in rows[::2])
    monkeypatch.setattr(sys, "stdin", io.StringIO("good cab\n\npoor a bad\n"))
    assert command("classify", "predict", run) == (0, out, "")
    code, out, _ = command("classify", "predict", run, folder / "lines.txt", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["label"] for record in records] == [rows[0][0], None, rows[2][0]]
    assert records[1] == {"text": "", "label": None, "probability": None, "probabilities": {}}
    assert records[1].keys() == records[0].keys()


def test_an_explanation_is_words_and_a_picture(command, run, folder):
    (folder / "one.txt").write_text("\ngood cab a bad\n")
    pictures = folder / "pictures"
    code, out, _ = command("classify", "predict", run, folder / "one.txt", "--explain", "--pictures", pictures)
    assert code == 0 and "good cab a bad" in out and "occlusion" in out and "correlate" in out
    (picture,) = pictures.iterdir()  # numbered by its line, as a picture of attention is
    assert picture.name == "line-2.png" and picture.read_bytes().startswith(b"\x89PNG")
    code, out, _ = command("classify", "predict", run, folder / "one.txt", "--explain", "--json")
    nothing, record = map(json.loads, out.splitlines())
    assert nothing.keys() == record.keys() and nothing["label"] is None and nothing["words"] == []
    assert record["words"] == ["good", "cab", "a", "bad"] and len(record["gradient"]) == len(record["occlusion"]) == 4


def test_scores_are_a_line_or_json(command, run):
    code, out, _ = command("classify", "evaluate", run, "--split", "all")
    assert code == 0 and out.startswith("80 texts: accuracy")
    _, out, _ = command("evaluate", run, "--split", "all", "--json")
    assert json.loads(out)["texts"] == 80


def test_all_of_a_file_is_scored_however_few_its_texts_are(command, run, folder):
    (folder / "three.tsv").write_text("good\tgood cab\npoor\tpoor\ngood\tgood\n")
    code, out, _ = command("classify", "evaluate", run, "--data", folder / "three.tsv", "--split", "all")
    assert code == 0 and out.startswith("3 texts: accuracy")
    code, out, err = command("classify", "evaluate", run, "--data", folder / "three.tsv")
    assert code == 2 and not out and "needs at least 20 texts, got 3" in err


def test_a_text_that_is_too_long_is_refused_by_its_line(command, run, folder):
    (folder / "long.txt").write_text("good\n\n" + "cab " * 10_000)
    code, out, err = command("classify", "predict", run, folder / "long.txt")
    message = "error: a text has at most 1,000 tokens, as those of the run, got 10,000 in line 3\n"
    assert (code, out, err) == (2, "", message)


GOOD = "good\tgood cab\npoor\tpoor a\n" * 20
# text that cannot be used, by the name of its file
BAD_FILES = {
    "unseen/train.tsv": GOOD,
    "unseen/valid.tsv": GOOD,
    "unseen/test.tsv": "good\tgood\nodd\tbad\n",
    "class.tsv": "good\tgood cab\n" * 40,
    "empty.tsv": GOOD + "good\t \n",
    "long.tsv": GOOD + "good" + "\tcab" + " cab" * 9_999 + "\n",
    "vectors.txt": "good 1 2 3\npoor 1 2 3\n",
    "good.tsv": GOOD,
}
WRONG = {
    "an unseen label": (("train", "--data", "unseen"), "a label must be one of training (good, poor), got 'odd' in"),
    "one class": (("train", "--data", "class.tsv"), "a classifier needs at least two classes, got good alone"),
    "an empty text": (("train", "--data", "empty.tsv"), "a text must hold a word, got an empty one in line 41 of"),
    "10,000 words": (
        ("train", "--data", "long.tsv"),
        "a text has at most --max-length tokens, 1,000, got 10,000 in line 41 of",
    ),
    "10,000 words to score": (("evaluate", "RUN", "--data", "long.tsv", "--split", "all"), "got 10,000 in line 41 of"),
    "vectors of another size": (
        ("train", "--data", "good.tsv", "--vectors", "vectors.txt", "--embedding-size", "4"),
        "--embedding-size must be that of the --vectors, 3 in vectors.txt, got 4",
    ),
    "no data": (("train", "--data", "nowhere"), "--data must be an existing file or folder, got nowhere"),
    "a setting of another kind": (
        ("train", "--cell", "gru", "--forget-bias", "2"),
        "--forget-bias is a setting of lstm",
    ),
    "a setting of another task": (("train", "--bptt", "3"), "unrecognized arguments: --bptt"),
    "no such vectors": (("train", "--vectors", "nowhere.txt"), "vectors must be a readable text file"),
    "no run": (("predict", "nowhere"), "a run must be an existing folder, got nowhere"),
    "no explanation": (("predict", "RUN", "--pictures", "x"), "--pictures are of explanations"),
    "no folder": (("predict", "RUN", "--explain", "--pictures", __file__), "--pictures must be a folder that can be"),
    "no file": (("predict", "RUN", "nowhere.txt"), "nowhere.txt"),
    "no init": (("train", "--init-from", "nowhere"), "a run must be an existing folder, got nowhere"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_one_line_and_write_nothing(name, command, run, tmp_path, monkeypatch):
    words, message = WRONG[name]
    (tmp_path / "unseen").mkdir()
    for file, text in BAD_FILES.items():
        (tmp_path / file).write_text(text)
    before = tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, out, err = command("classify", *(run if word == "RUN" else word for word in words))
    assert code == 2 and out == "" and err.count("\n") == 1 and message in err
    assert tree(tmp_path) == before


def test_the_help_tells_the_defaults_of_this_task(command):
    defaults = {}
    for verb in (("train",), ("classify", "train")):
        _, out, _ = command(*verb, "--help-all")
        defaults[verb] = " ".join(out.split()).partition("--clip X")[2].partition("]")[0].rpartition("[")[2]
    assert defaults == {("train",): "1", ("classify", "train"): "5"}
