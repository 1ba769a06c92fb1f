"""`lm-jax ngram train`, and the other verbs on its run."""

import json

import pytest


@pytest.fixture(scope="module")
def trigrams(corpus, tmp_path_factory):
    """The folder of a finished n-gram run of words."""
    import lm_jax

    config = lm_jax.NGramConfig(lm_jax.DataConfig(corpus, "word"), order=3)
    return lm_jax.train(config, tmp_path_factory.mktemp("finished") / "trigrams").folder


def test_train_ends_with_a_table_a_sample_and_the_next_command(command, corpus, tmp_path):
    code, out, err = command("ngram", "train", "--data", corpus, "--order", 2, "--run", tmp_path / "run")
    assert code == 0
    assert "counting" in err and "scoring" in err
    assert out.count("2-gram MKN") == 3 and out.count("5-gram MKN") == 3
    assert "n-grams of order 1 to 2: " in out and "a sample:" in out
    assert f"next: lm-jax generate {tmp_path / 'run'}" in out


def test_the_other_verbs_work_on_the_run(command, trigrams, corpus, tmp_path):
    code, out, _ = command("evaluate", trigrams, "--json")
    assert code == 0 and json.loads(out)["perplexity"] > 1
    code, out, _ = command("generate", trigrams, "--tokens", 5, "--seed", 1)
    assert code == 0 and out.strip()
    code, out, _ = command("generate", trigrams, "--tokens", 5, "--beam-size", 2)
    assert code == 0 and out.strip()
    code, out, _ = command("complete", trigrams, "a cab", "--k", 2, "--json")
    assert code == 0 and len(json.loads(out)["completions"]) == 2
    code, out, _ = command("score", trigrams, f"{corpus}/test.txt", "--json")
    assert code == 0 and len(out.splitlines()) == 8


@pytest.mark.parametrize(
    "words, message",
    [
        (("train", "--order", 0), "--order must be a whole number of at least 1, got 0"),
        (("train", "--method", "add-k", "--k", 0), "--k must be positive and finite, got 0"),
        (("train", "--method", "nothing"), "--method must be one of modified-kneser-ney, "),
        (("train", "--k", 0.5), "--k is a setting of add-k, got --method modified-kneser-ney"),
        (("train", "--data", "no-such-file.txt"), "no-such-file.txt"),
        (("teach",), "must be one of ngram train, ngram prune, "),
        (("trian",), "did you mean ngram train?"),
    ],
)
def test_bad_requests_are_told_in_one_line(command, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = command("ngram", *words)
    assert code == 2 and not out and err.count("\n") == 1 and message in err
    assert not list(tmp_path.iterdir())


def test_a_run_of_counts_is_not_resumed(command, trigrams):
    code, _, err = command("train", "--resume", trigrams)
    assert code == 2 and "nothing to resume" in err and err.count("\n") == 1


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_the_verbs(command, words):
    code, out, _ = command("ngram", *words)
    assert code == 0 and "lm-jax ngram train" in out


def test_out_to_an_arpa_file_and_back(command, trigrams, tmp_path):
    code, out, _ = command("ngram", "export", trigrams, tmp_path / "model.arpa.gz")
    assert code == 0 and "MiB" in out
    code, out, _ = command("ngram", "import", tmp_path / "model.arpa.gz", "--run", tmp_path / "run")
    assert code == 0 and "n-grams of order 1 to 3: " in out
    _, first, _ = command("complete", trigrams, "a cab", "--json")
    code, second, _ = command("complete", tmp_path / "run", "a cab", "--json")
    assert code == 0 and first == second
    code, _, err = command("evaluate", tmp_path / "run")
    assert code == 2 and "give --data" in err and err.count("\n") == 1


def test_pruning_prints_before_and_after(command, trigrams, tmp_path):
    code, out, _ = command("ngram", "prune", trigrams, "--threshold", "1e-3", "--run", tmp_path / "run")
    assert code == 0 and "before" in out and "perplexity, test" in out and f"run {tmp_path / 'run'}" in out
    code, out, _ = command("ngram", "prune", trigrams, "--run", tmp_path / "other", "--json")
    assert code == 0 and set(json.loads(out)) == {"run", "before", "after"}


@pytest.mark.parametrize(
    "words, message",
    [
        (("import", "no-such.arpa"), "no-such.arpa"),
        (("export", "no-such-run", "x.arpa"), "no-such-run"),
        (("train", "--prune-counts", 1, 0), "got 1 0"),
        (("train", "--method", "arpa"), "--method must be one of"),
    ],
)
def test_bad_files_are_told_in_one_line(command, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = command("ngram", *words)
    assert code == 2 and not out and err.count("\n") == 1 and message in err
    assert not list(tmp_path.iterdir())


def test_impossible_is_null_in_json(command, tmp_path):
    """JSON has no infinity; and two impossible sentences are a tie."""
    run, text = tmp_path / "run", tmp_path / "text"
    text.mkdir()
    for split, lines in (("train", "a b\nb\n"), ("valid", "a b\n"), ("test", "a a\n")):
        (text / f"{split}.txt").write_text(lines)
    words = ("--data", text, "--level", "word", "--order", 2, "--method", "maximum-likelihood")
    code, out, _ = command("ngram", "train", *words, "--run", run)
    assert code == 0 and "note: n-grams that were never seen have probability 0" in out

    def strict(text):
        return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    told = strict(command("evaluate", run, "--json")[1])
    assert told["perplexity"] is None and told["cross_entropy"] is None and told["tokens"] == 3
    assert strict(command("score", run, text / "test.txt", "--json")[1])["log_prob"] is None
    pair = {"sentence_good": "a a", "sentence_bad": "b b b"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    code, out, err = command("minimal-pairs", run, tmp_path / "pairs.jsonl", "--json")
    assert code == 0 and not err and strict(out)["groups"]["all"]["accuracy"] == 0.5
