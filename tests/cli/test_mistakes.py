"""Mistakes with their fix in the line: runs that are not there, words that are near, runs that are finished."""

import dataclasses
import json
import os

import pytest

import lm_jax
from lm_jax.cli.main import in_flags
from lm_jax.errors import UserError, did_you_mean
from lm_jax.training.listener import Listener
from tests.cli.conftest import tree
from tests.cli.test_bad_input import assert_refused
from tests.runs.toy import toy_config


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with three runs, as far as a look at their folders tells."""
    monkeypatch.chdir(tmp_path)
    for name in ("gru-char-1", "lstm-char-1", "lstm-word-1"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        (tmp_path / "checkpoints" / name / "config.json").write_text("{}")
    (tmp_path / "checkpoints" / "no-run").mkdir()
    return tmp_path


LIST = "; runs in checkpoints/: gru-char-1, lstm-char-1, lstm-word-1"


@pytest.mark.parametrize(
    "words,parts",
    {
        "evaluate nowhere": ["a run must be an existing folder, got nowhere" + LIST],
        "evaluate lstm-char-1": ["got lstm-char-1; did you mean checkpoints/lstm-char-1?" + LIST],
        "generate checkpoints/lstm-chr-1": ["did you mean checkpoints/lstm-char-1?" + LIST],
        "score checkpoints x": ["got checkpoints without config.json; runs in it: gru-char-1, lstm-char-1"],
        "gradients checkpoints/no-run": ["got checkpoints/no-run without config.json" + LIST],
        "train --resume nowhere": ["a run must be an existing folder, got nowhere" + LIST],
        "compare checkpoints/lstm-char-1 nowhere": ["got nowhere" + LIST],
        "compare": ["required: RUN" + LIST],
        "complete": ["required: RUN" + LIST],
        "complete checkpoints/lstm-char-1": ["given as PROMPT, or line by line to --interactive, got neither"],
        "classify train x --init-from nowhere": ["a run must be an existing folder, got nowhere" + LIST],
        "ngram train --method kn": ["did you mean kneser-ney?"],
        "ngram train --method MKN": ["did you mean modified-kneser-ney?"],
        "ngram train --method wb": ["did you mean witten-bell?"],
        "ngram train --method stupid": ["did you mean stupid-backoff?"],
        "ngram train --k 0.5": ["--k is a setting of add-k, got --method modified-kneser-ney; give --method add-k"],
    }.items(),
)
def test_the_fix_is_in_the_line(words, parts, command, desk):
    before = tree(desk)
    assert_refused(command(*words.split()), *parts)
    assert tree(desk) == before


def test_many_runs_are_not_all_named(command, desk):
    for number in range(9):
        (desk / "checkpoints" / f"a{number}").mkdir()
        (desk / "checkpoints" / f"a{number}" / "config.json").write_text("{}")
    assert_refused(command("evaluate", "nowhere"), "a0, a1, a2, a3, a4, a5 and 6 more (lm-jax runs)")


def test_a_tied_layer_of_another_size_names_the_size(command, desk):
    (desk / "text.txt").write_text("a text of several words\n" * 400)
    assert_refused(command("train", "text.txt", "--tied"), "64 and 256; give --embedding-size 256")
    assert_refused(command("train", "text.txt", "--model", "window", "--tied"), "give --embedding-size 256")


@pytest.mark.parametrize(
    "word,options,meant",
    [
        ("LSTM", ["rnn", "lstm"], "lstm"),
        ("kn", ["katz", "kneser-ney", "modified-kneser-ney"], "kneser-ney"),
        ("char", ["character", "byte"], "character"),
        ("wrod", ["word", "char"], "word"),
        ("ppl", ["train", "score"], None),
        ("s", ["sgd", "adam"], None),
    ],
)
def test_what_was_meant(word, options, meant):
    assert did_you_mean(word, options) == (f"; did you mean {meant}?" if meant else "")


def test_settings_in_a_message_become_flags():
    error = UserError("a window needs window; give model=window, then max_vocab or max_vocab", ["model", "max_vocab"])
    assert in_flags(error) == "a window needs window; give --model window, then --max-vocab or --max-vocab"


class Counted(Listener):
    """Counts the steps."""

    def __init__(self):
        self.steps = 0

    def on_steps(self, step):
        self.steps += 1


def test_a_finished_run_says_so_at_once(command, corpus, tmp_path, monkeypatch):
    run = lm_jax.train(toy_config(corpus, steps=4), tmp_path / "run").folder
    before = tree(run)
    with monkeypatch.context() as patches:
        patches.setattr("lm_jax.runs.resume", lambda *_: pytest.fail("it was trained"))
        for more in ([], ["--steps", "4"]):
            code, out, err = command("train", "--resume", run, *more)
            assert (code, err) == (0, "")
            words = f"{run} is finished: 4 steps, as --steps 4 says; to continue: lm-jax train --resume {run} --steps 8"
            assert out == f"{words}\n"
    assert tree(run) == before
    code, out, _ = command("train", "--resume", run, "--steps", "6")
    assert code == 0 and "is finished" not in out and json.loads((run / "results.json").read_text())["step"] == 6
    # a resume with more steps that was killed before its first checkpoint: the settings are newer than the results
    longer = dataclasses.replace(lm_jax.load(run).config, steps=8)
    lm_jax.runs.folder.RunFolder(run).update_config(longer)
    later = (run / "results.json").stat().st_mtime + 10
    os.utime(run / "config.json", (later, later))
    code, out, _ = command("train", "--resume", run)
    assert code == 0 and "is finished" not in out and json.loads((run / "results.json").read_text())["step"] == 8


def test_unknown_words_of_a_prompt_are_said(command, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat\nthe dog sat on a log\n" * 40 + "zebra\n")
    config = toy_config(str(text), level="word", min_count=2, batch_size=2, bptt=4, steps=2)
    run = lm_jax.train(config, tmp_path / "run").folder
    code, _, err = command("generate", run, "--prompt", "the unicorn sat \x1b[2J", "--tokens", 2)
    assert code == 0 and "words that the model knows only as <unk>: unicorn, \\x1b[2J\n" in err
    assert "only as" not in command("generate", run, "--prompt", "the cat", "--tokens", 2)[2]
