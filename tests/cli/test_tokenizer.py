"""Words and punctuation apart: recorded in a run, and so in every text that the run reads or writes."""

import json
import sys

import pytest

import lm_jax
from lm_jax import DataConfig, TrainConfig, UserError
from lm_jax.queries import export_arpa, import_arpa


LINES = ["The cat sat, and the dog ran.\n", "A dog doesn't sit; the cat (it) ran!\n", "The dog ran, the cat sat.\n"]
SPLIT = ["--level", "word", "--tokenizer", "simple", "--lower", "--min-count", "1"]
TOY = "--steps 2 --hidden-size 4 --embedding-size 4 --batch-size 2 --bptt 4".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    here = tmp_path_factory.mktemp("words")
    for split in ("train", "valid", "test"):
        (here / f"{split}.txt").write_text("".join(LINES))
    return here


@pytest.fixture(scope="module")
def ngrams(folder):
    settings = {"level": "word", "tokenizer": "simple", "lower": True, "min_count": 1}
    config = lm_jax.NGramConfig(DataConfig(str(folder), **settings), order=2, method="add-k")
    return lm_jax.train(config, folder / "ngrams").folder


def test_the_run_records_how_words_are_split(command, folder, tmp_path):
    code, _, err = command("train", "--data", folder, *SPLIT, *TOY, "--run", tmp_path / "run")
    assert (code, err) == (0, "")
    data = json.loads((tmp_path / "run" / "config.json").read_text())["config"]["data"]
    assert (data["tokenizer"], data["lower"]) == ("simple", True)
    vocabulary = lm_jax.load(tmp_path / "run").vocabulary
    assert {"cat", ",", "'", "("} < set(vocabulary.tokens) and "The" not in vocabulary.tokens
    assert command("train", "--resume", tmp_path / "run", "--steps", "3")[0] == 0


def test_every_text_is_split_so(command, ngrams, folder):
    tokens = lm_jax.load(ngrams).vocabulary.encode("the dog doesn't")
    expected = lm_jax.load(ngrams).next_tokens(tokens, 3)
    code, out, _ = command("complete", ngrams, "THE dog doesn't", "--k", "3", "--tokens", "--special", "--json")
    assert code == 0
    assert [one["token"] for one in json.loads(out)["completions"]] == [one.token for one in expected]
    text = folder / "one.txt"
    text.write_text("The CAT sat,\n")
    assert json.loads(command("score", ngrams, text, "--json")[1].splitlines()[0])["tokens"] == 5
    assert json.loads(command("evaluate", ngrams, "--split", "test", "--json")[1])["tokens"] == 10 + 15 + 9
    assert command("generate", ngrams, "--prompt", "The cat,", "--tokens", "3", "--greedy")[2].count("<unk>") == 0
    pairs = folder / "pairs.jsonl"
    pairs.write_text(json.dumps({"sentence_good": "The dog ran.", "sentence_bad": "The ran dog."}))
    assert lm_jax.load(ngrams).minimal_pairs(pairs).judgements[0].difference > 0


def test_generated_text_is_spaced_as_usual(ngrams):
    run = lm_jax.load(ngrams)
    ids = run.vocabulary.encode("".join(LINES))
    assert run.vocabulary.decode(ids) == "".join(LINES).lower()
    text = run.generate("The cat", 12, greedy=True)
    assert text.startswith("The cat") and " ." not in text and " ," not in text
    assert list(run.vocabulary.encode(text)) == [*run.vocabulary.encode("the cat"), *_ids(run, "The cat", 12)]


def _ids(run, prompt, tokens):
    from lm_jax.inference.sampling import Sampler
    from lm_jax.queries import continue_text

    return continue_text(run, prompt, tokens, Sampler(greedy=True))[0].tokens


def test_an_arpa_file_says_how_words_are_split(ngrams, folder, tmp_path):
    export_arpa(ngrams, tmp_path / "words.arpa")
    imported = import_arpa(tmp_path / "words.arpa", tmp_path / "imported").folder
    run = lm_jax.load(imported)
    assert run.vocabulary == lm_jax.load(ngrams).vocabulary and run.config.data.tokenizer == "simple"


@pytest.mark.parametrize("level", ["char", "byte", "bpe"])
@pytest.mark.parametrize(("flag", "name"), [(["--tokenizer", "simple"], "tokenizer"), (["--lower"], "lower")])
def test_it_is_refused_where_there_are_no_words(command, level, flag, name, folder):
    for verb in (["train"], ["ngram", "train"]):
        code, out, err = command(*verb, "--data", folder, "--level", level, *flag)
        assert (code, out) == (2, "") and f"--{name} needs --level word" in err
    with pytest.raises(UserError, match=f"{name} needs level word"):
        lm_jax.train(TrainConfig(data=DataConfig(level=level, **{name: "simple" if name == "tokenizer" else True})))


def test_a_pre_tokenizer_is_recorded_and_applied_to_prompts(command, folder, tmp_path):
    pytest.importorskip("tokenizers")
    run = tmp_path / "bert"
    split = ["--level", "word", "--tokenizer", "bert", "--lower", "--min-count", "1"]
    assert command("ngram", "train", "--data", folder, *split, "--order", "2", "--run", run)[0] == 0
    assert json.loads((run / "config.json").read_text())["config"]["data"]["tokenizer"] == "bert"
    vocabulary = lm_jax.load(run).vocabulary
    assert (vocabulary.tokenizer, vocabulary.lower) == ("bert", True) and {"'", "(", "sat"} < set(vocabulary.tokens)
    code, out, err = command("generate", run, "--prompt", "The CAT(sat),", "--tokens", "2", "--greedy")
    assert code == 0 and "unknown" not in err and "cat" in out.lower()


def test_a_missing_extra_is_named_and_nothing_is_written(command, folder, tmp_path, monkeypatch):
    from lm_jax.data import pre_tokenizers

    monkeypatch.setitem(sys.modules, "tokenizers", None)
    pre_tokenizers._pre_tokenizer.cache_clear()
    run = tmp_path / "run"
    code, out, err = command("train", "--data", folder, "--level", "word", "--tokenizer", "digits", "--run", run)
    pre_tokenizers._pre_tokenizer.cache_clear()
    assert (code, out) == (2, "") and 'tokenizer digits needs the extra "bpe": pip install "lm-jax[bpe]"' in err
    assert len(err.splitlines()) == 1 and not run.exists()
