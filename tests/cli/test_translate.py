"""`lm-jax translate`: trains, evaluates, predicts; mistakes are one line and write nothing."""

import io
import json
import sys

import pytest

import lm_jax
from lm_jax.errors import UserError
from lm_jax.queries import TrainedTranslator
from tests.cli.conftest import tree
from tests.queries.untrained import untrained
from tests.tasks.parallel import translate_config, write_parallel


SMALL = ("--level", "word", "--steps", "4", "--batch-size", "8", "--hidden-size", "4", "--embedding-size", "4")
SMALL += ("--cell", "rnn", "--dropout", "0", "--beam-size", "1", "--log-every", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("translate")


@pytest.fixture(scope="module")
def run(folder):
    """A run that is as good as untrained: its translations are any words."""
    return str(untrained(translate_config(folder / "pairs.tsv", beam_size=3), folder / "run"))


def test_it_trains(command, folder):
    pairs, new = write_parallel(folder / "train.tsv"), folder / "new"
    code, out, err = command("translate", "train", "--data", pairs, "--run", new, *SMALL)
    assert code == 0 and err == "" and "54 pairs of 4 and 5 tokens" in out and "greedy" in out and "beam 1" in out
    assert f"next: lm-jax translate predict {new} FILE" in out
    code, out, _ = command("translate", "evaluate", new, "--split", "all")
    assert code == 0 and out.startswith("60 pairs: cross-entropy")
    _, out, _ = command("evaluate", new, "--split", "all", "--json")
    assert json.loads(out)["pairs"] == 60
    (folder / "few.tsv").write_text("eins.\tone!\n")
    code, out, _ = command("translate", "evaluate", new, "--data", folder / "few.tsv", "--split", "all")
    assert code == 0 and out.startswith("1 pairs: cross-entropy")


def test_translations_stream_line_by_line(command, run, folder, monkeypatch):
    text = "eins zwei.\n\ndrei Affen.\n"
    (folder / "lines.txt").write_text(text)
    code, out, err = command("translate", "predict", run, folder / "lines.txt", "--attention", folder / "pictures")
    lines = out.split("\n")
    assert code == 0 and err == "" and len(lines) == 4 and lines[1] == ""
    assert sorted(path.name for path in (folder / "pictures").iterdir()) == ["line-1.png", "line-3.png"]
    assert (folder / "pictures" / "line-1.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert command("translate", "predict", run) == (0, out, "")
    _, out, _ = command("translate", "predict", run, folder / "lines.txt", "--n-best", "2", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert [len(record["translations"]) for record in records] == [2, 0, 2]
    assert records[0]["source"] == "eins zwei." and records[0]["translations"][0]["text"] == lines[0]
    _, out, _ = command("translate", "predict", run, folder / "lines.txt", "--n-best", "2")
    assert [len(line.split("\t")) for line in out.splitlines()] == [3, 3, 1, 3, 3]

    loaded = lm_jax.load(run)
    assert isinstance(loaded, TrainedTranslator) and loaded.translate_all([]) == []
    (several,) = loaded.translate_all(["eins zwei."], n_best=2)
    assert loaded.predict("eins zwei.") == several[0].text == loaded.predict(["eins zwei."])[0]
    assert several[0] == loaded.translate("eins zwei.") and len(several) == 2 and several[0].log_prob < 0
    for ask in (loaded.translate, loaded.predict, lambda wrong: loaded.attention("eins", wrong)):
        with pytest.raises(UserError, match=r"must be a (list of|string)"):
            ask(5)
    with pytest.raises(UserError, match="length_penalty must be at least 0, got '3'"):
        loaded.translate("eins", length_penalty="3")
    found = loaded.attention("eins zwei.", "one!")
    assert found.source == ["eins", "zwei", "￭."] and found.target == ["one", "￭!", "⏎"]
    assert [sum(row) for row in found.weights] == pytest.approx([1, 1, 1], abs=1e-5)


GOOD = "eins.\tone!\n" * 40
# text that cannot be used, by the name of its file
BAD_FILES = {
    "two.de": "eins.\n" * 40,
    "two.en": "one!\n" * 38,
    "empty.tsv": GOOD + "zwei.\t \n",
    "words.tsv": GOOD + "eins " * 10_000 + "\tone!\n",
}
WRONG = {
    "files of different length": (
        ("train", "--data", "two", "--source", "de", "--target", "en"),
        "must have as many lines, got 38 in two.en: line 39 of two.de, which has 40, is a translation of none",
    ),
    "an empty sentence": (
        ("train", "--data", "empty.tsv"),
        "a sentence must hold a word, got an empty target in line 41 of empty.tsv",
    ),
    "10,000 words": (
        ("train", "--data", "words.tsv", "--level", "word"),
        "a sentence has at most --max-length tokens, 200, got a source of 10,000 in line 41 of words.tsv",
    ),
    "10,000 words to score": (
        ("evaluate", "RUN", "--data", "words.tsv", "--split", "all"),
        "got a source of 10,000 in line 41 of words.tsv",
    ),
    "no data": (("train", "--data", "nowhere"), "--data must be an existing file or folder, or what two files have"),
    "one language": (
        ("train", "--data", "PAIRS", "--source", "x", "--target", "x"),
        "--source and --target must differ",
    ),
    "no run": (("predict", "nowhere"), "a run must be an existing folder, got nowhere"),
    "no file": (("predict", "RUN", "nowhere.txt"), "nowhere.txt"),
    "no folder": (("predict", "RUN", "LINES", "--attention", __file__), "--attention must be a folder that can be"),
    "too long": (("predict", "RUN", "LONG"), "a sentence has at most 200 tokens, as those of the run, got 10,000 in"),
    "more than the beam": (
        ("predict", "RUN", "LINES", "--n-best", "9"),
        "--n-best must be at most --beam-size 3",
    ),
    "no beam": (("predict", "RUN", "LINES", "--beam-size", "0"), "--beam-size must be"),
    "another task": (("predict", "RUN", "LINES", "--greedy"), "unrecognized arguments: --greedy"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_one_line_and_write_nothing(name, command, run, folder, tmp_path, monkeypatch):
    (folder / "lines.txt").write_text("eins zwei.\n")
    (folder / "long.txt").write_text("eins.\n" + "eins " * 10_000)
    places = {"RUN": run, "LINES": str(folder / "lines.txt"), "PAIRS": write_parallel(folder / "pairs.tsv")}
    places["LONG"] = str(folder / "long.txt")
    for file, text in BAD_FILES.items():
        (tmp_path / file).write_text(text)
    monkeypatch.chdir(tmp_path)
    before, (words, message) = tree(tmp_path), WRONG[name]
    code, out, err = command("translate", *(places.get(word, word) for word in words))
    assert code == 2 and out == "" and message in err and err.count("\n") == 1
    assert tree(tmp_path) == before


def test_questions_of_other_tasks_are_refused(command, run):
    code, _, err = command("generate", run)
    assert code == 2 and "language model" in err and "translator" in err
    code, _, err = command("classify", "predict", run)
    assert code == 2 and "classifier" in err and "translator" in err
