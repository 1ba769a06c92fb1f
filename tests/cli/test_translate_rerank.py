"""`lm-jax translate rerank`: translates, tunes; mistakes are one line and write nothing."""

import io
import json
import sys

import pytest

from lm_jax.cells.user import user_cell
from tests.cli.conftest import tree
from tests.queries.channel import channel_runs, language_model_config, scores_config
from tests.queries.untrained import untrained
from tests.tasks.parallel import translate_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rerank")


@pytest.fixture(scope="module")
def runs(folder):
    return channel_runs(folder / "runs")


@pytest.fixture
def words(runs):
    """The words of the command, with or without a file, but for further options."""
    others = ("--reverse", runs["reverse"], "--language-model", runs["language_model"])
    return lambda *file: ("translate", "rerank", runs["direct"], *file, *others)


def test_translations_stream_line_by_line(command, words, runs, folder, monkeypatch):
    text = "eins zwei.\n\ndrei drei null.\n"
    (folder / "lines.txt").write_text(text)
    _, direct, _ = command("translate", "predict", runs["direct"], folder / "lines.txt")
    same = command(*words(folder / "lines.txt"), "--weights", "1", "0", "0", "0")
    assert same == (0, direct, "")
    code, out, err = command(*words(folder / "lines.txt"), "--n-best", "3")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0 and err == "" and [len(row) for row in rows] == [5, 5, 5, 1, 5, 5, 5]
    assert [float(row[0]) for row in rows[:3]] == sorted((float(row[0]) for row in rows[:3]), reverse=True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    code, out, _ = command(*words(), "--json", "--n-best", "2")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [len(record["translations"]) for record in records] == [2, 0, 2]
    best = records[0]["translations"][0]
    assert best["text"] == rows[0][4] and {"direct", "reverse", "language_model", "unknown_reverse"} <= best.keys()


def test_a_cell_of_ones_own_is_for_the_runs_that_have_one(command, words, runs, folder):
    """It is the cell of the other reverse run under another name: all numbers are the same."""
    (folder / "own.py").write_text("from lm_jax.cells import rnn\n\n\ndef mine(*sizes):\n    return rnn(*sizes)\n")
    name = f"{folder / 'own.py'}:mine"
    own = ("--reverse", channel_runs(folder / "own", cell=user_cell(name))["reverse"])
    (folder / "one.txt").write_text("eins zwei.\ndrei drei null.\n")
    others = (folder / "one.txt", "--language-model", runs["language_model"], "--n-best", "2")
    expected = command("translate", "rerank", runs["direct"], *others, "--reverse", runs["reverse"])
    assert expected[0] == 0 and len(expected[1].splitlines()) == 4
    assert command("translate", "rerank", runs["direct"], *others, *own, "--cell", name) == expected
    code, out, err = command("translate", "rerank", runs["direct"], *others, *own)
    assert code == 2 and not out and "cell" in err and err.count("\n") == 1
    code, out, err = command(*words(folder / "one.txt"), "--cell", name)
    assert (code, out) == (2, "") and "--cell is given for runs of a user's own cell only" in err


def test_tuned_weights_are_printed_as_they_are_given(command, words, folder):
    code, out, err = command(*words(), "--tune")
    lines = out.splitlines()
    assert code == 0 and err == "" and len(lines) == 3 and "translations of each" in lines[0]
    assert lines[1].startswith("unknown: ") and lines[2].startswith("--weights ")
    (folder / "one.txt").write_text("eins zwei.\n")
    assert command(*words(folder / "one.txt"), *lines[2].split())[0] == 0
    record = json.loads(command(*words(), "--tune", "--json")[1])
    assert [f"{weight:g}" for weight in record["weights"].values()] == lines[2].split()[1:]
    assert record["tuned"] >= record["direct"]


WRONG = {
    "no reverse": (("RUN", "LINES", "--language-model", "LM"), "reranking needs --reverse, the folder of a run"),
    "no model": (("RUN", "LINES", "--reverse", "BACK"), "reranking needs --language-model, the folder of a run"),
    "same direction": (
        ("RUN", "LINES", "--reverse", "RUN", "--language-model", "LM"),
        "the --reverse run must translate en into de, got de into en",
    ),
    "another language": (
        ("RUN", "LINES", "--reverse", "FRENCH", "--language-model", "LM"),
        "the --reverse run must share tokens with the translator",
    ),
    "model of another language": (
        ("RUN", "LINES", "--reverse", "BACK", "--language-model", "LATIN"),
        "the --language-model run must share tokens with the translator",
    ),
    "another level": (
        ("RUN", "LINES", "--reverse", "BACK", "--language-model", "CHARS"),
        "the --language-model must have the level of the translator, got char",
    ),
    "no unknown word": (
        ("RUN", "LINES", "--reverse", "BACK", "--language-model", "KNOWN"),
        "a --language-model of words needs <unk>",
    ),
    "no probabilities": (
        ("RUN", "LINES", "--reverse", "BACK", "--language-model", "SCORES"),
        "the --language-model must give probabilities",
    ),
    "no translator": (
        ("RUN", "LINES", "--reverse", "LM", "--language-model", "LM"),
        "for the run of a translator, got that of a language model",
    ),
    "three weights": (("RUN", "LINES", "OTHERS", "--weights", "1", "1", "1"), "--weights must be 4 numbers, got 3"),
    "no weight": (
        ("RUN", "LINES", "OTHERS", "--weights", "0", "0", "0", "0"),
        "--weights must be finite numbers, not all 0",
    ),
    "more than the beam": (("RUN", "LINES", "OTHERS", "--n-best", "9"), "--n-best must be at most --beam-size 3"),
    "tuned and given": (
        ("RUN", "OTHERS", "--tune", "--weights", "1", "1", "1", "0"),
        "--tune takes neither a FILE nor --weights",
    ),
    "tuned and read": (("RUN", "LINES", "OTHERS", "--tune"), "--tune takes neither a FILE nor --weights, got a FILE"),
    "data unread": (("RUN", "LINES", "OTHERS", "--data", "LINES"), "--data is what --tune reads"),
}


@pytest.fixture(scope="module")
def places(runs, folder):
    (folder / "lines.txt").write_text("eins zwei.\n")
    for name in ("latin", "chars", "known", "scores"):
        (folder / name).mkdir()
    french = translate_config(folder / "french.tsv", source="en", target="de")
    (folder / "french.tsv").write_text("un deux\tuno due\n" * 20)
    latin = language_model_config(folder / "latin", "unus duo")
    chars = language_model_config(folder / "chars", level="char", min_count=1)
    known = language_model_config(folder / "known", rare="", min_count=1)
    return {
        "RUN": (runs["direct"],),
        "BACK": (runs["reverse"],),
        "LM": (runs["language_model"],),
        "LINES": (folder / "lines.txt",),
        "OTHERS": ("--reverse", runs["reverse"], "--language-model", runs["language_model"]),
        "FRENCH": (untrained(french, folder / "french"),),
        "LATIN": (untrained(latin, folder / "latin" / "run"),),
        "CHARS": (untrained(chars, folder / "chars" / "run"),),
        "KNOWN": (untrained(known, folder / "known" / "run"),),
        "SCORES": (folder / "scores" / "run",),
    }


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_one_line_and_write_nothing(name, command, places, folder, tmp_path, monkeypatch):
    if name == "no probabilities":
        import lm_jax

        lm_jax.train(scores_config(folder / "scores"), places["SCORES"][0])
    monkeypatch.chdir(tmp_path)
    before, (typed, message) = tree(tmp_path), WRONG[name]
    line = [word for one in typed for word in places.get(one, (one,))]
    code, out, err = command("translate", "rerank", *line)
    assert code == 2 and out == "" and message in err and err.count("\n") == 1
    assert tree(tmp_path) == before
