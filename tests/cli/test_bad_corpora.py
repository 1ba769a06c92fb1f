"""Bad corpora, prompts and pairs: one line that begins with "error: ", exit code 2, and nothing written."""

import importlib.util
import json
import sys

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from lm_jax.data import sources
from tests.cli.conftest import tree


@pytest.fixture(autouse=True)
def library(monkeypatch, tmp_path):
    """No network, an empty cache of the library, and its switches back in place afterwards."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache of datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "_reaches_hub", lambda: False)


GOOD = {"sentence_good": "a cab", "sentence_bad": "a bad", "kind": "x"}


def pairs(**third):
    """Two good pairs and a third."""
    return "".join(json.dumps(record) + "\n" for record in (GOOD, GOOD, third))


FILES = {
    "table.csv": "sentence,label\na bad cab,1\n",
    "comma.csv": "text\n" + "Hello, world\n" * 50,
    "header.csv": "text,label\n",
    "table.json": '[{"line": "a"}]',
    "broken.parquet": "no parquet",
    "broken.jsonl": '{"text": "a"}\n{"text\n',
    "two/train.txt": "a\n",
    "two/train.csv": "text\na\n",
    "two/valid.txt": "a\n",
    "two/test.txt": "a\n",
    "marks/train.txt": "a </s> b\n" * 50,
    "marks/valid.txt": "a\n",
    "marks/test.txt": "a\n",
    "other.txt": "a bad cab\nxylophone\n" * 40,
    "latin.txt": b"caf\xe9\n",
    "empty.txt": "",
    "missing.jsonl": pairs(sentence_good="a cab"),
    "misnamed.jsonl": pairs(good="a cab", bad="a bad"),
    "no_group.jsonl": pairs(sentence_good="a", sentence_bad="b"),
    "no_text.jsonl": pairs(**{**GOOD, "sentence_good": 3}),
    "blank.jsonl": pairs(**{**GOOD, "sentence_bad": "  "}),
    "two_lines.jsonl": pairs(**{**GOOD, "sentence_bad": "a\nb"}),
    "letters.jsonl": pairs(**{**GOOD, "sentence_bad": "a zebra"}),
    "no_json.jsonl": pairs(**GOOD) + "{'sentence_good': 1}\n",
    "gap.jsonl": json.dumps(GOOD) + "\n\n \n" + json.dumps({**GOOD, "sentence_bad": "a zebra"}) + "\n",
    "deep.jsonl": "[" * 100_000 + "\n",
    "long.jsonl": json.dumps(GOOD)[:-1] + ', "id": ' + "1" * 5000 + "}\n",
    "list.jsonl": '["a", "b"]\n',
    "latin.jsonl": '{"sentence_good": "café", "sentence_bad": "a"}\n'.encode("latin-1"),
}


@pytest.fixture
def desk(tmp_path, monkeypatch, corpus):
    """A working folder with the files above."""
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    pyarrow.parquet.write_table(pyarrow.table({"line": ["a", "b"], "label": [1, 2]}), folder / "table.parquet")
    return folder


@pytest.fixture
def refused(command, desk):
    """`refused(words, parts)`: the command is refused in one line with all the parts, and the desk is as it was."""

    def check(words, parts):
        before = tree(desk)
        code, out, err = command(*words)
        assert code == 2 and out == "", (code, out, err)
        assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n"), err
        assert len(err) < 400
        for part in parts:
            assert part in err, err
        assert tree(desk) == before

    return check


TRAIN = {
    "--data table.parquet": ["needs a text column named text (--text-column)", "got line, label in table.parquet"],
    "--data table.parquet --text-column words": ["a text column named words", "got line, label"],
    "--data table.csv": ["needs a text column named text", "got sentence, label in table.csv"],
    "--data comma.csv": ["as many fields as the header, 1", "got 2 in line 2 of comma.csv"],
    "--data header.csv": ["got an empty table: header.csv"],
    "--data table.json": ["needs a text column named text", "got line in row 1 of table.json"],
    "--data broken.parquet": ["a .parquet file must be readable as a table", "broken.parquet"],
    "--data broken.jsonl": ["a .jsonl file must be readable as a table", "broken.jsonl"],
    "--data two": ["each one file", "got train.csv and train.txt"],
    "--data wikitext-2": ["the data set wikitext-2 (Salesforce/wikitext) cannot be had: no network", "a local file"],
    "--data ptb --level word": ["the data set ptb (ptb-text-only/ptb_text_only) cannot be had", "train.txt"],
    "--data Salesforce/wikitext": ["must be an existing file or folder, or one of wikitext-2", "Salesforce/wikitext"],
    "--data wikitext2": ["must be an existing file or folder", "got wikitext2"],
    "--data marks --level word": ["</s> stands for the end of a line"],
    "--data marks --level bpe": ["</s> stands for the end of a line"],
    "--data other.txt --min-count 2": ["are for words (--max-vocab for bpe too), got level char"],
    "--data other.txt --level byte --max-vocab 9": ["are for words (--max-vocab for bpe too), got level byte"],
    "--data other.txt --level bpe --min-count 2": ["are for words (--max-vocab for bpe too), got level bpe"],
    "--data other.txt --level word --max-vocab 2": ["--max-vocab must be at least 3", "got 2"],
    "--data other.txt --level word --min-count 0": ["--min-count must be a whole number of at least 1, got 0"],
    "--data other.txt --accumulate 5": ["--accumulate must divide --batch-size 32, got 5"],
    "--data other.txt --weight-drop 1": ["--weight-drop ", "[0, 1)", "1.0"],
    "--data other.txt --dropout-embedding -0.1": ["--dropout-embedding ", "[0, 1)", "-0.1"],
    "--data other.txt --scheduled-sampling 1.1": ["--scheduled-sampling must be between 0 and 1", "1.1"],
    "--data other.txt --temporal-reg nan": ["--temporal-reg must be finite and not negative", "nan"],
    "--data other.txt --averaging median": ["median"],
}


@pytest.mark.parametrize(("words", "parts"), TRAIN.items(), ids=TRAIN)
def test_train(refused, words, parts):
    refused(["train", *words.split()], parts)


def test_byte_pairs_without_the_library(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    refused(["train", "--data", "other.txt", "--level", "bpe"], ['needs the extra "bpe": pip install "lm-jax[bpe]"'])


def test_too_few_byte_pairs(refused):
    if importlib.util.find_spec("tokenizers") is None:
        pytest.skip("needs tokenizers")
    words = ["train", "--data", "other.txt", "--level", "bpe", "--max-vocab", "99"]
    refused(words, ["--max-vocab of a bpe vocabulary", "at least 257 entries", "got 99"])


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            ["evaluate", "RUN", "--data", "other.txt", "--split", "all"],
            ["every character must be", "got 'x' in line 2"],
        ),
        (["evaluate", "RUN", "--data", "table.parquet"], ["a text column named text"]),
        (
            ["train", "--resume", "RUN", "--data", "other.txt"],
            ["a resumed run keeps the text it began with", "other.txt"],
        ),
        (["score", "RUN", "other.txt"], ["every character must be in the vocabulary, got 'x' in line 2"]),
        (["score", "RUN", "nowhere.txt"], ["a text file must be readable, got nowhere.txt"]),
        (["score", "RUN", "two"], ["a text file must be readable, got two"]),
        (["score", "RUN", "empty.txt"], ["must hold some text"]),
        (["score", "RUN", "latin.txt"], ["must be UTF-8, got byte 0xe9 at 3"]),
        (["score", "RUN"], ["standard input must be readable"]),
        (["score", "two", "other.txt"], ["a run folder holds config.json"]),
        (["complete", "RUN", "a zebra"], ["every character must be in the vocabulary, got 'z' in line 1"]),
        (["complete", "RUN", "a bad", "--k", "0"], ["--k must be a whole number of at least 1, got 0"]),
        (["complete", "RUN"], ["PROMPT"]),
        (["complete", "two", "a"], ["a run folder holds config.json"]),
        (["generate", "RUN", "--beam-size", "0"], ["--beam-size must be a whole number of at least 1, got 0"]),
        (
            ["generate", "RUN", "--beam-size", "2", "--greedy"],
            ["--beam-size searches; it does not go with --greedy or --num-samples"],
        ),
        (["generate", "RUN", "--beam-size", "2", "--length-penalty", "-1"], ["--length-penalty must be at least 0"]),
    ],
    ids=" ".join,
)
def test_texts_and_prompts(refused, finished, words, parts):
    refused([finished if word == "RUN" else word for word in words], parts)


def test_a_prompt_with_a_word_that_the_vocabulary_lacks(refused, finished_words):
    refused(["complete", finished_words, "a zebra"], ["which has no <unk>, got 'zebra' in line 1"])


PAIRS = {
    "missing.jsonl": ["needs the field sentence_bad, got line 3 of missing.jsonl"],
    "misnamed.jsonl": ["needs the field sentence_good, got line 3 of misnamed.jsonl"],
    "no_group.jsonl --group kind": ["needs the field kind, got line 3 of no_group.jsonl"],
    "no_text.jsonl": ["sentence_good must be one line of text, got 3 in line 3"],
    "blank.jsonl": ["sentence_bad must be one line of text, got '  ' in line 3"],
    "two_lines.jsonl": ["sentence_bad must be one line of text, got 'a\\nb' in line 3"],
    "letters.jsonl": ["every character must be in the vocabulary, got 'z' in line 3"],
    "no_json.jsonl": ["every line must be JSON, got line 4 of no_json.jsonl"],
    "gap.jsonl": ["every character must be in the vocabulary, got 'z' in line 4 of gap.jsonl"],
    "deep.jsonl": ["every line must be JSON, got line 1 of deep.jsonl: it is nested too deeply"],
    "long.jsonl": ["every line must be JSON, got line 1 of long.jsonl"],
    "list.jsonl": ["needs the field sentence_good, got line 1 of list.jsonl"],
    "latin.jsonl": ["must be UTF-8, got byte 0xe9"],
    "empty.txt": ["must hold some text", "empty.txt"],
    "nowhere.jsonl": ["needs an existing file of JSON lines, got nowhere.jsonl"],
    "two": ["needs an existing file of JSON lines, got two"],
}


@pytest.mark.parametrize(("words", "parts"), PAIRS.items(), ids=PAIRS)
def test_minimal_pairs(refused, finished, words, parts):
    refused(["minimal-pairs", finished, *words.split()], parts)
