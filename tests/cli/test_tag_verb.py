"""`lm-jax tag`: lines in, tags out; bad input is one line, exit code 2, and nothing is written."""

import io
import json

import pytest

from tests.cli.conftest import tree
from tests.queries.untrained import untrained
from tests.tasks.tagged import tag_config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An untrained tagger: its tags mean nothing."""
    folder = tmp_path_factory.mktemp("tagger")
    return untrained(tag_config(folder / "all.tsv", output="crf", max_length=12), folder / "run")


def test_every_line_is_printed_with_its_tags(command, run, tmp_path, monkeypatch):
    (tmp_path / "lines.txt").write_text("a cab\n\nXABC bad dab\n")
    code, out, err = command("tag", "predict", run, tmp_path / "lines.txt")
    assert code == 0 and not err
    lines = [[piece.rpartition("/") for piece in line.split(" ")] for line in out.splitlines()]
    assert [[word for word, _, _ in line] for line in lines] == [["a", "cab"], [""], ["XABC", "bad", "dab"]]
    assert out.splitlines()[1] == ""  # of an empty line, so that lines stand beside those of the file
    monkeypatch.setattr("sys.stdin", io.StringIO("a cab\n\nXABC bad dab\n"))
    assert command("tag", "predict", run)[1] == out
    columns = command("tag", "predict", run, tmp_path / "lines.txt", "--columns")[1]
    assert columns == "\n".join("".join(f"{w}\t{t}\n" for w, _, t in line) for line in lines[::2]) + "\n"


def test_the_best_strings_and_json(command, run, tmp_path):
    (tmp_path / "lines.txt").write_text("\na cab\n")
    _, out, _ = command("tag", "predict", run, tmp_path / "lines.txt", "--n-best", "3")
    first, *rest = out.splitlines()
    assert first == ""
    scores = [float(line.split("\t")[0]) for line in rest]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    _, out, _ = command("tag", "predict", run, tmp_path / "lines.txt", "--n-best", "3", "--json")
    nothing, record = map(json.loads, out.splitlines())
    assert nothing.keys() == record.keys() and not any(nothing.values())
    assert record["words"] == ["a", "cab"] and len(record["best"]) == 3


def test_scores_of_a_split_and_of_another_file(command, run, tmp_path):
    code, out, _ = command("tag", "evaluate", run)
    assert code == 0 and "words: accuracy" in out and "F1 of spans" in out
    (tmp_path / "other.tsv").write_text("a\tO\nXABC\tB-x\n")
    _, out, _ = command("tag", "evaluate", run, "--data", tmp_path / "other.tsv", "--split", "all", "--json")
    record = json.loads(out)
    assert record["tokens"] == 2 and 0 <= record["accuracy"] <= 1


BAD_FILES = {
    "tag.tsv": ("a\tO\nb\tB-z\n", "a tag must occur in the training data, got B-z in line 2 of"),
    "illegal.tsv": ("a\tO\nb\tI-x\n", "BIO tags must be a legal sequence, got I-x after O in line 2 of"),
    "long.tsv": ("a\tO\n" * 10_000, "may have --max-length 12 words, got 10000 from line 1 of"),
    "broken.conllu": ("1\ta\n", "needs 10 columns between tabs, got 2 in line 1 of"),
    "empty.conllu": (
        "# nothing\n\n",
        "CoNLL-U needs a word, got none before the blank line in line 2 of",
    ),
    "three.tsv": ("a b c\n", "got 3 fields in line 1 of"),
}


@pytest.mark.parametrize(("name", "text", "message"), [(n, *both) for n, both in BAD_FILES.items()], ids=BAD_FILES)
def test_a_bad_file_is_one_line_and_nothing_is_written(name, text, message, command, run, tmp_path):
    (tmp_path / name).write_text(text)
    before = tree(tmp_path)
    words = ["tag", "evaluate", run, "--split", "all", "--data", tmp_path / name]
    code, out, err = command(*words)
    assert code == 2 and not out and message in err and err.startswith("error: ") and err.count("\n") == 1
    if "training data" not in message:  # which is of training itself
        (tmp_path / name).write_text(text + "\n" + "a\tO\n\n" * 30 if name.endswith("tsv") else text)
        before = tree(tmp_path)
        words = ["tag", "train", "--data", tmp_path / name, "--max-length", "12", "--run", tmp_path / "run"]
        code, _, err = command(*words)
        assert code == 2 and err.startswith("error: ") and err.count("\n") == 1
    assert tree(tmp_path) == before


def test_one_tag_alone_is_refused_and_nothing_is_written(command, tmp_path):
    (tmp_path / "one.tsv").write_text("a\tO\n\n" * 30)
    before = tree(tmp_path)
    code, out, err = command("tag", "train", "--data", tmp_path / "one.tsv", "--run", tmp_path / "run")
    message = f"error: tagging needs at least 2 tags, got 1 in {tmp_path / 'one.tsv'}: O\n"
    assert (code, out, err) == (2, "", message) and tree(tmp_path) == before


def test_one_tag_outside_the_scheme_is_named_and_nothing_is_written(command, tmp_path):
    lines = "a\tB-x\nb\tI-x\nc\tO\n\n"
    (tmp_path / "stray.tsv").write_text(lines * 40 + "a\tB_x\n\n" + lines * 40)
    before = tree(tmp_path)
    code, out, err = command("tag", "train", "--data", tmp_path / "stray.tsv", "--run", tmp_path / "run")
    rule = "tags of which nearly all are BIO must be one of O, B-KIND, I-KIND"
    message = f"error: {rule}, got B_x in line 161 of {tmp_path / 'stray.tsv'}\n"
    assert (code, out, err) == (2, "", message) and tree(tmp_path) == before


BAD_FLAGS = {
    "--char-size 8 --char-features none": "--char-size is a setting of lstm, cnn, got --char-features none",
    "--output best": "--output: invalid choice: 'best' (choose from softmax, constrained, crf)",
    "--word-dropout -1": "--word-dropout must be finite and not negative, got -1.0",
    "--char-size 5 --char-features lstm": "--char-size must be even, got 5",
    "--data nowhere.conllu": "--data must be an existing file or folder of tagged words, got nowhere.conllu",
}


@pytest.mark.parametrize(("flags", "message"), BAD_FLAGS.items(), ids=BAD_FLAGS)
def test_bad_flags(flags, message, command, tmp_path):
    extra = () if "--data" in flags else ("--data", tag_config(tmp_path / "all.tsv").data.data)
    code, _, err = command("tag", "train", "--run", tmp_path / "run", *extra, *flags.split())
    assert code == 2 and message.split(":")[0] in err and not (tmp_path / "run").exists()
    assert err.count("\n") == 1 or "invalid choice" in message


def test_sentences_that_cannot_be_tagged(command, run, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n" + "a " * 10_000))
    code, out, err = command("tag", "predict", run)
    assert (
        code == 2
        and not out
        and err == "error: a sentence has at most 12 words, the run's max_length, got 10,000 in line 2\n"
    )
    code, out, err = command("tag", "predict", run, "--n-best", "1000000")
    assert code == 2 and not out and err == "error: --n-best must be at most 1,000, got 1,000,000\n"
    code, _, err = command("tag", "predict", run, "--columns", "--json")
    assert code == 2 and "--columns" in err
    assert command("tag", "predict", run, tmp_path / "nowhere.txt")[0] == 2
