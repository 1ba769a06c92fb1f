"""The commands on a small run: what they print, and their JSON."""

import json
import math
import shlex

import jax
import numpy as np
import pytest

import lm_jax
from lm_jax.cli.main import main
from lm_jax.inference import generate
from tests.cli.conftest import tree
from tests.runs.toy import assert_equal_runs


TOY = "--hidden-size 8 --embedding-size 4 --batch-size 4 --bptt 8 --log-every 5 --eval-every 8 --lr 0.01".split()
SCORES = {"tokens", "cross_entropy", "perplexity", "bits_per_character", "unk_rate", "eval_streams", "seconds"}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder for all the runs of this module."""
    return tmp_path_factory.mktemp("here")


def test_train_prints_its_progress_and_ends_with_a_table(command, corpus, finished, here):
    run = here / "run"
    code, out, err = command("train", "--data", corpus, "--run", run, "--steps", "20", *TOY)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    for part in ("LSTM 1x8", "parameters", "vocabulary 6 (char)", "tokens per epoch", str(run)):
        assert part in lines[0]
    assert sum("valid after step" in line for line in lines) == 3
    assert "* best so far" in out and "a sample:" in out
    for part in ("unigram", "bigram", "train", "valid", "test"):
        assert part in out
    assert lines[-1].startswith(f"next: lm-jax generate {run}")
    assert command(*shlex.split(lines[-1].removeprefix("next: lm-jax ")))[0] == 0
    # the flags are the settings of a script
    assert_equal_runs(run, finished, step=20)


def test_train_with_several_seeds(command, corpus, finished, here):
    runs = here / "seeds"
    code, out, err = command("train", "--data", corpus, "--run", runs, "--steps", "20", *TOY, "--seeds", "2")
    assert (code, err) == (0, "")
    assert "2 seeds: figures are means" in out and " ± " in out
    assert out.splitlines()[-1] == f"next: lm-jax compare {runs}/seed-0 {runs}/seed-1"
    assert_equal_runs(runs / "seed-0", finished, step=20)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--mirror", "there"], "--mirror copies one run, got --seeds 2 too"),
        (["--random-bptt"], "--random-bptt must be left out with several seeds"),
    ],
)
def test_what_several_seeds_exclude(command, corpus, flags, message):
    code, _, err = command("train", "--data", corpus, *TOY, "--seeds", "2", *flags)
    assert code == 2 and message in err and err.count("\n") == 1


def test_train_goes_on_with_a_run(command, corpus, finished, here):
    run = here / "resumed"
    assert command("train", "--data", corpus, "--run", run, "--steps", "10", "--decay-steps", "20", *TOY)[0] == 0
    code, out, _ = command("train", f"--resume={run}", "--steps", "20", "--checkpoint-every", "7")
    assert code == 0 and "resumed after step 10" in out
    assert_equal_runs(run, finished, step=20)


def test_evaluate_as_json(command, finished, corpus):
    code, out, err = command("evaluate", finished, "--json")
    result = json.loads(out)
    assert code == 0 and err == "" and out.count("\n") == 1
    assert set(result) >= SCORES and set(result) - SCORES <= {"bits_per_byte"}
    assert result["eval_streams"] == 10 and result["unk_rate"] == 0
    assert result["perplexity"] == pytest.approx(math.exp(result["cross_entropy"]), rel=1e-12)
    table = json.loads((finished / "results.json").read_text())["rows"]
    assert result["cross_entropy"] == table[-1]["cross_entropy"] and result["tokens"] == table[-1]["tokens"]


def test_evaluate_counts_the_whole_file(command, finished, corpus):
    """The three splits are the text; `--split all` is their sum, the first and the last token included."""
    tokens = {}
    for split in ("train", "valid", "test", "all"):
        _, out, _ = command("evaluate", finished, "--split", split, "--data", f"{corpus}/train.txt", "--json")
        tokens[split] = json.loads(out)["tokens"]
    with open(f"{corpus}/train.txt") as file:
        text = file.read()
    assert tokens["all"] == len(text) == tokens["train"] + tokens["valid"] + tokens["test"]


def test_evaluate_in_words(command, finished):
    code, out, _ = command("evaluate", finished, "--eval-streams", "3")
    assert code == 0 and out.count("\n") == 1
    for part in ("tokens: cross-entropy", "nats per token", "perplexity", "bits per character", "3 streams"):
        assert part in out


def test_generate_as_json(command, finished):
    words = [
        "generate",
        finished,
        "--prompt",
        "a cab",
        "--tokens",
        "40",
        "--num-samples",
        "2",
        "--top-k",
        "3",
        "--json",
    ]
    code, out, err = command(*words, "--seed", "1")
    result = json.loads(out)
    assert code == 0 and err == "" and out.count("\n") == 1
    settings = {"run", "prompt", "tokens", "temperature", "top_k", "top_p", "greedy", "seed", "num_samples"}
    assert settings | {"samples"} <= set(result) and result["seed"] == 1
    trained = lm_jax.load(finished)
    model, params, vocabulary = trained.model, trained.params, trained.vocabulary
    expected = generate(
        model,
        params,
        vocabulary.encode("a cab"),
        40,
        jax.random.key(1),
        eol_id=vocabulary.eol_id,
        num_samples=2,
        sampler=lm_jax.inference.Sampler(top_k=3),
    )
    np.testing.assert_array_equal(np.transpose([s["tokens"] for s in result["samples"]]), expected)
    assert [s["text"] for s in result["samples"]] == [vocabulary.decode(column) for column in expected.T]
    assert json.loads(command(*words, "--seed", "1")[1]) == result
    assert json.loads(command(*words, "--seed", "2")[1])["samples"] != result["samples"]


def test_generate_streams_the_prompt_and_its_continuation(command, finished):
    code, out, err = command("generate", finished, "--prompt", "a c", "--tokens", "50", "--greedy")
    result = json.loads(command("generate", finished, "--prompt", "a c", "--tokens", "50", "--greedy", "--json")[1])
    assert code == 0 and err == "[50 tokens, greedy]\n"
    assert out == "a c" + result["samples"][0]["text"] + "\n" and len(out) == 54


def test_generate_several_samples(command, finished):
    words = ["generate", finished, "--prompt", "b", "--tokens", "9", "--num-samples", "3", "--temperature", "0.5"]
    code, out, err = command(*words)
    result = json.loads(command(*words, "--json")[1])
    assert code == 0 and err == "[9 tokens, temperature 0.5, seed 0]\n"
    assert out == "".join(f"--- sample {k + 1}\nb{s['text']}\n" for k, s in enumerate(result["samples"]))


def test_generate_words(command, finished_words):
    code, out, _ = command("generate", finished_words, "--prompt", "a cab", "--tokens", "5", "--greedy")
    result = json.loads(
        command("generate", finished_words, "--prompt", "a cab", "--tokens", "5", "--greedy", "--json")[1]
    )
    assert code == 0 and out == "a cab" + result["samples"][0]["text"] + "\n"
    assert len(result["samples"][0]["tokens"]) == 5


def test_looking_at_a_run_changes_nothing_in_it(command, finished):
    before = tree(finished)
    command("evaluate", finished)
    command("generate", finished, "--tokens", "3")
    assert tree(finished) == before


def test_an_interrupt_before_the_run_starts_is_quiet(monkeypatch, capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", interrupted)
    with pytest.raises(SystemExit) as caught:
        main(["train"])
    assert caught.value.code == 130 and capsys.readouterr().err == ""


@pytest.mark.parametrize("words", [["train"], ["ngram", "train"]], ids=" ".join)
def test_the_command_alone_is_enough(monkeypatch, words):
    """Without any word after it, the settings are the defaults."""
    asked = []

    def note(config, run, *listeners):
        asked.append((config, run))
        raise lm_jax.UserError("enough")

    monkeypatch.setattr("lm_jax.runs.train", note)
    monkeypatch.setattr("lm_jax.runs.train", note)
    with pytest.raises(SystemExit):
        main(words)
    assert asked == [(lm_jax.TrainConfig() if words == ["train"] else lm_jax.NGramConfig(), None)]
