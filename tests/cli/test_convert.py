"""Weights to other programs and back to the last bit, and runs that begin with given weights."""

import json
import math
import shutil

import pytest

import lm_jax
from lm_jax.runs.open import open_run
from tests.cases import assert_identical
from tests.cli.conftest import tree
from tests.queries.untrained import untrained
from tests.runs.toy import assert_equal_runs, toy_config


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory):
    """`made(layers=2)` returns the folder of a run of words with random weights, the same one for the same settings."""
    folder, runs = tmp_path_factory.mktemp("made"), {}

    def make(**changes):
        key = json.dumps(changes)
        if key not in runs:
            config = toy_config(corpus, level="word", batch_size=2, bptt=4, **changes)
            runs[key] = untrained(config, folder / str(len(runs)))
        return runs[key]

    return make


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


KINDS = {
    "lstm": {},
    "gru": {"cell": "gru", "layers": 2},
    "rnn": {"cell": "rnn", "nonlinearity": "relu"},
    "tied": {"tied": True, "embedding_size": 8},
}


@pytest.mark.parametrize("program", ["torch", "linen"])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_come_back_to_the_last_bit(kind, program, made, command, tmp_path):
    pytest.importorskip("safetensors")
    run = made(**KINDS[kind])
    code, out, err = command("convert", run, "lm.safetensors", "--to", program, "--vocabulary", "words.txt")
    assert (code, err) == (0, "") and out.startswith("lm.safetensors: ") and out.endswith("; words in words.txt\n")
    more = ["--nonlinearity", "relu"] if kind == "rnn" else []
    flags = ["--from", program, "--vocabulary", "words.txt", *more]
    code, out, err = command("convert", "lm.safetensors", "back", *flags)
    assert (code, err) == (0, "")
    assert out.endswith("; run back\nnext: lm-jax evaluate back --data FILE --split all\n")
    before, after = open_run(run), open_run("back")
    assert after.vocabulary == before.vocabulary
    assert_identical(after.load()[1], before.load()[1])
    assert after.config.model == before.config.model and after.config.data.level == "word"
    code, _, _ = command("convert", "back", "again.safetensors", "--to", program)
    assert code == 0 and (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "lm.safetensors").read_bytes()


def test_a_converted_run_answers_and_cannot_be_resumed(made, command, corpus):
    pytest.importorskip("safetensors")
    assert command("convert", made(), "lm.safetensors", "--to", "torch", "--vocabulary", "words.json")[0] == 0
    assert command("convert", "lm.safetensors", "back", "--from", "torch", "--vocabulary", "words.json")[0] == 0
    texts = [command("complete", run, "a bad", "--json") for run in (made(), "back")]
    assert texts[0] == texts[1] and texts[0][0] == 0
    code, _, err = command("evaluate", "back")
    assert code == 2 and err.startswith("error: a run made from a file of weights has no text of its own: give --data")
    code, _, err = command("train", "--resume", "back")
    assert code == 2 and err.endswith("has no text to go on with: begin a new run with --init-from\n")


def test_an_arpa_file_there_and_back(command, corpus, tmp_path):
    config = lm_jax.NGramConfig(lm_jax.DataConfig(corpus, "word"), order=3)
    lm_jax.train(config, tmp_path / "counted")
    code, out, err = command("convert", "counted", "model.arpa", "--to", "arpa")
    assert (code, err) == (0, "") and out.startswith("model.arpa: ")
    code, out, err = command("convert", "model.arpa", "back", "--from", "arpa")
    assert (code, err) == (0, "") and out.startswith("n-grams of order 1 to 3; run back\n")
    assert command("convert", "back", "again.arpa", "--to", "arpa")[0] == 0
    numbers = [(tmp_path / name).read_text().split("\n", 1)[1] for name in ("model.arpa", "again.arpa")]
    assert numbers[0] == numbers[1]  # below the comment, which names the estimator


def test_a_tilde_is_the_home_folder_both_ways(made, command, tmp_path, monkeypatch):
    pytest.importorskip("safetensors")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    code, _, err = command("convert", made(), "~/lm.safetensors", "--to", "torch", "--vocabulary", "~/words.txt")
    assert (code, err) == (0, "") and (tmp_path / "home" / "words.txt").is_file()
    code, _, err = command("convert", "~/lm.safetensors", "~/back", "--from", "torch", "--vocabulary", "~/words.txt")
    assert (code, err) == (0, "") and (tmp_path / "home" / "back" / "config.json").is_file()
    assert not (tmp_path / "~").exists()


REFUSED = {
    "no way": (["RUN", "x"], "a conversion goes one way: --to PROGRAM, or --from PROGRAM; got neither"),
    "both": (["RUN", "x", "--to", "torch", "--from", "torch"], "got --to torch and --from torch"),
    "program": (["RUN", "x", "--to", "tensorflow"], "--to must be one of torch, linen, arpa, got 'tensorflow'"),
    "no run": (["none", "x", "--to", "torch"], "a run must be an existing folder, got none"),
    "in use": (["RUN", "used", "--to", "torch"], "the file to write must not exist, got used"),
    "no folder": (["RUN", "no/x", "--to", "torch"], "must lie in a folder that exists, got no/x"),
    "counts": (["RUN", "x", "--to", "arpa"], "this is for runs of n-gram models"),
    "characters": (["CHARS", "x", "--to", "torch", "--vocabulary", "y.txt"], "give FILE.json for level char"),
    "window": (["WINDOW", "x", "--to", "linen"], "linen gets recurrent language models, got a run of another kind"),
    "highway": (["HIGHWAY", "x", "--to", "torch"], "torch stacks layers with --connection plain, got highway"),
    "textbook": (["BEFORE", "x", "--to", "linen"], 'got parameters of a GRU with reset="before"'),
    "activation": (["IDENTITY", "x", "--to", "torch"], "torch has the nonlinearity tanh or relu, got identity"),
    "no words": (["used", "x", "--from", "torch"], "weights need their words: give --vocabulary, got none for used"),
    "no file": (["none", "x", "--from", "arpa"], "an ARPA file must be readable to its end"),
    "words of arpa": (["used", "x", "--from", "arpa", "--vocabulary", "used"], "an ARPA file holds its words"),
    "run in use": (["used", "RUN", "--from", "arpa"], "--run must be a new or an empty folder"),
}
OF_RUNS = {
    "RUN": {},
    "WINDOW": {"model": "window"},
    "HIGHWAY": {"layers": 2, "connection": "highway"},
    "BEFORE": {"cell": "gru", "gru_reset": "before"},
    "IDENTITY": {"cell": "rnn", "nonlinearity": "identity"},
}


@pytest.mark.parametrize(("words", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_converted_is_one_line_and_nothing_is_written(words, message, made, command, finished, tmp_path):
    (tmp_path / "used").write_text("a\n")
    folders = {"CHARS": finished} | {word: made(**OF_RUNS[word]) for word in words if word in OF_RUNS}
    before = tree(tmp_path)
    code, out, err = command("convert", *[folders.get(word, word) for word in words])
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1
    assert tree(tmp_path) == before


BEGUN = ["--batch-size", 2, "--bptt", 4, "--schedule", "constant", "--lr", 0.01]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", "torch"])
def test_training_goes_on_from_given_weights_and_resumes_bit_for_bit(kind, made, command, corpus, tmp_path):
    (tmp_path / "given").mkdir()
    shutil.copytree(made(layers=2), "given/first")
    flags = ["--init-from", "given/first"]
    if kind == "torch":
        files = ["--vocabulary", "given/words.txt"]
        assert command("convert", "given/first", "given/lm.safetensors", "--to", "torch", *files)[0] == 0
        flags = ["--init-from", "given/lm.safetensors", *files]
    train = ["train", corpus, *flags, *BEGUN]
    code, out, err = command(*train, "--steps", 4, "--run", "straight")
    assert (code, err) == (0, "") and f"weights of {flags[1]}" in out
    assert command(*train, "--steps", 2, "--run", "resumed")[0] == 0
    shutil.rmtree("given")  # a run goes on without what it began with
    assert command("train", "--resume", "resumed", "--steps", 4)[0] == 0
    assert_equal_runs("resumed", "straight", 4)
    record = json.loads((tmp_path / "resumed" / "config.json").read_text())["config"]
    assert record["init_from"] == str(tmp_path / flags[1])
    assert (record["model"]["hidden_size"], record["model"]["layers"], record["data"]["level"]) == (8, 2, "word")


CONTRADICTIONS = {
    "size": (["--hidden-size", 9], "--hidden-size must be that of --init-from, 8, got 9"),
    "default size": (["--hidden-size", 256], "--hidden-size must be that of --init-from, 8, got 256"),
    "cell": (["--cell", "gru"], "--cell must be that of --init-from, lstm, got gru"),
    "level": (["--level", "word"], "--level must be that of --init-from, char, got word"),
    "limits": (["--level", "word", "--min-count", 2], "must be left out with --init-from"),
    "seeds": (["--seeds", 2], "--init-from is for one seed"),
    "no run": (["--init-from", "none"], "got none without config.json"),
    "words": (["--vocabulary", "x"], "--vocabulary must be left out with a run, which has its own, got x"),
}


@pytest.mark.parametrize(("words", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_contradicts_the_weights_is_one_line_and_nothing_is_written(
    words, message, command, finished, corpus, tmp_path
):
    code, out, err = command("train", corpus, "--init-from", finished, *words)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1
    assert tree(tmp_path) == {}


def test_a_text_with_other_characters_is_one_line(command, finished, tmp_path):
    (tmp_path / "text.txt").write_text("a bad zebra\n" * 40)
    code, out, err = command("train", "text.txt", "--init-from", finished)
    assert (code, out) == (2, "") and "every character must be in the vocabulary, got 'z' in line 1" in err


def test_the_first_loss_is_that_of_the_given_weights(command, finished, corpus):
    """The first loss that is reported is that of the weights, not that of random ones."""
    trained = json.loads(command("evaluate", finished, "--split", "train", "--json")[1])["cross_entropy"]
    flags = ["--steps", 12, "--batch-size", 4, "--bptt", 8, "--lr", 1e-6, "--log-every", 12]
    code, _, _ = command("train", corpus, "--init-from", finished, *flags, "--run", "more")
    with open("more/metrics.jsonl") as file:
        first = json.loads(file.readline())
    assert code == 0 and math.isclose(first["loss"], trained, abs_tol=0.1)
