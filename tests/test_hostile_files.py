"""Files of others that lie: vocabularies, settings, tables, ARPA files, logs; each is one line."""

import gzip
import io
import json
import os
import zipfile

import numpy as np
import pytest

from lm_jax.config import read_settings
from lm_jax.data.label_vocabulary import LabelVocabulary
from lm_jax.data.parallel_vocabulary import ParallelVocabulary
from lm_jax.data.tables import read_cells
from lm_jax.data.tag_vocabulary import TagVocabulary
from lm_jax.data.text_files import read_text
from lm_jax.data.vocabulary import BYTES, Vocabulary
from lm_jax.errors import UserError
from lm_jax.interop.arpa_reader import read_arpa
from lm_jax.interop.arpa_writer import write_arpa
from lm_jax.models.ngram.storage import load_tables, save_tables
from lm_jax.queries.list_runs import list_runs
from lm_jax.runs.folder import read_lines, read_results
from lm_jax.runs.open import open_run


DEEP, LONG = b"[" * 100_000, b'{"a": ' + b"1" * 5000 + b"}"
ARPA = (
    "\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-1\t<s>\t0\n-0.5\t</s>\t0\n-0.5\ta\t-0.1\n\n"
    "\\2-grams:\n-0.2\ta a\n\n\\end\\\n"
)


def refused(call, *words):
    with pytest.raises(UserError) as error:
        call()
    assert "\n" not in str(error.value) and all(word in str(error.value) for word in words), error.value


def vocabulary_record(level, tokens, merges=None):
    """With a fingerprint that is right: only its types are wrong."""
    try:
        sha256 = Vocabulary(level, tuple(tokens), merges).sha256
    except TypeError:
        sha256 = ""
    return {"level": level, "tokens": tokens, "merges": merges, "sha256": sha256}


@pytest.mark.parametrize(
    "record",
    [
        vocabulary_record("word", ["a", "b"]),  # no end of line
        vocabulary_record("word", ["a", "a", "</s>"]),
        vocabulary_record("word", ["a", 3, "</s>"]),
        *(vocabulary_record("word", [f"a{space}b", "</s>"]) for space in " \t\x1c\x85\xa0\u2028\u3000"),
        vocabulary_record("word", ["", "</s>"]),
        vocabulary_record("char", ["\n", "ab"]),
        vocabulary_record("byte", [*BYTES[1:], BYTES[0]]),
        vocabulary_record("syllable", ["a", "</s>"]),
        vocabulary_record(["word"], ["a", "</s>"]),
        vocabulary_record("word", {"a": 1, "</s>": 2}),
        vocabulary_record("word", ["a", "</s>"], merges=5),
        {"level": "word"},
        [],
        None,
        5,
    ],
)
def test_vocabularies_are_what_texts_are_encoded_by(tmp_path, record):
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps(record))
    refused(lambda: Vocabulary.load(path), "a vocabulary must be whole, got", str(path))
    for kind in (ParallelVocabulary, LabelVocabulary, TagVocabulary):
        refused(lambda kind=kind: kind.load(path), str(path))


@pytest.mark.parametrize("content", [DEEP, LONG, b"[]", b"5", b"null", b'"x"', b"\xff", b"", b'{"config": []}'])
def test_settings_are_one_object(tmp_path, content):
    (tmp_path / "run").mkdir()
    for path in (tmp_path / "settings.json", tmp_path / "run/config.json"):
        path.write_bytes(content)
    refused(lambda: read_settings(tmp_path / "settings.json"))
    refused(lambda: open_run(tmp_path / "run"), "got")
    (summary,) = list_runs(tmp_path)
    assert summary.state == "unreadable"


@pytest.mark.parametrize(
    "settings",
    [
        {"data": 5},
        {"text_column": []},
        {"hidden_size": "x"},
        {"learning_rate": 10**400},
        {"level": ["char"]},
        {"lr": {}},
        {"cutoffs": 5},
        {"cutoffs": [[1]]},
        {"layers": None},
        {"batch_size": 1e300},
        {"seed": "1"},
        {"kind": []},
    ],
)
def test_settings_of_wrong_types_are_one_line(tmp_path, settings):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(settings))
    refused(lambda: read_settings(path).check())


def arpa(tmp_path, text, name="x.arpa"):
    path = tmp_path / name
    raw = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


@pytest.mark.parametrize("space", ["\x1c", "\x85", "\xa0", "\u1680", "\u2003", "\u2028", "\u202f", "\u3000"])
def test_words_that_no_text_would_have_are_refused_with_their_line(tmp_path, space):
    path = arpa(tmp_path, ARPA.replace("\ta\t", f"\tx{space}a\t"))
    refused(lambda: read_arpa(path), f"{path}, line 8: a word must not hold white space", ascii(f"x{space}a"))


def test_the_unknown_word_in_capitals_is_the_unknown_word(tmp_path):
    text = ARPA.replace("\ta\t", "\t<UNK>\t").replace("a a", "<UNK> <UNK>")
    params, vocabulary = read_arpa(arpa(tmp_path, text))
    assert vocabulary.tokens == ("</s>", "<unk>") and vocabulary.encode("never seen\n").tolist() == [1, 1, 0]
    assert params.words[1].tolist() == [1]
    write_arpa(params, Vocabulary("word", ("</s>", "<UNK>")), tmp_path / "ours", "katz")  # a word of that spelling
    assert read_arpa(tmp_path / "ours")[1].tokens == ("</s>", "<UNK>")


@pytest.mark.parametrize(
    "text",
    [
        ARPA.replace("ngram 1=3", "ngram 1=" + "9" * 5000),
        ARPA.replace("ngram 1=3", f"ngram 1={2**40}"),
        ARPA.replace("ngram 1=3", "ngram 1=3\nngram " + "2" * 5000 + "=1"),
        "# lm_jax " + "[" * 100_000 + "\n" + ARPA,
        '# lm_jax {"a": ' + "1" * 5000 + "}\n" + ARPA,
        '# lm_jax {"level": ["word"]}\n' + ARPA,
        '# lm_jax {"level": "bpe", "merges": 5}\n' + ARPA,
        '# lm_jax {"level": "char"}\n' + ARPA.replace("\ta\t", "\t\\u{110000}\t").replace("a a", "\\u{110000} </s>"),
        '# lm_jax {"level": "char"}\n' + ARPA.replace("\ta\t", "\t\\u{" + "f" * 300 + "}\t"),
        ARPA.replace("-0.5\ta", "-1" + "0" * 400 + "\ta"),
    ],
    ids=range(10),
)
def test_arpa_files_that_lie_are_one_line(tmp_path, text):
    for name in ("x.arpa", "x.gz"):
        path = arpa(tmp_path, text, name)
        refused(lambda path=path: read_arpa(path), f"{path}, line ")


def test_an_arpa_file_of_packed_zeros_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("lm_jax.input_files.SMALL", 1 << 16)
    path = arpa(tmp_path, b"\n" * 2_000_000, "bomb.gz")
    refused(lambda: read_arpa(path), "more than 100 times as many bytes as its compressed form")


@pytest.fixture
def tables(tmp_path):
    params, _ = read_arpa(arpa(tmp_path, ARPA))
    save_tables(tmp_path / "model.npz", params)
    return params, tmp_path / "model.npz"


def rewritten(path, change, **options):
    """The archive with its members' bytes changed, and their checksums right."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in change(members).items():
            archive.writestr(name, content)


def array(values, dtype):
    file = io.BytesIO()
    np.save(file, np.asarray(values, dtype))
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("words_2.npy", array([7], "<i4")),
        ("words_2.npy", array([-1], "<i4")),
        ("words_2.npy", array([1.0], "<f4")),
        ("words_2.npy", array([[1]], "<i4")),
        ("log_prob_2.npy", array([np.nan], "<f4")),
        ("log_prob_2.npy", array([np.inf], "<f4")),
        ("log_missing.npy", array([0, 1], "<f4")),
        ("log_missing.npy", array(np.nan, "<f4")),
        ("child_start_1.npy", array([0, 0, 2**31 - 1], "<i4")),
        ("words_2.npy", array([1], "<i4").replace(b"(1,)", b"(" + str(2**40).encode() + b",)", 1)),
        ("words_2.npy", b"\x93NUMPY\x09\x00"),
        ("words_2.npy", np.lib.format.magic(1, 0) + b"\xff\xff" + b"(" * 3000),
        ("words_2.npy", b""),
        ("words_2.npy", array([None], object)),
    ],
    ids=range(14),
)
def test_tables_that_lie_are_one_line(tables, name, content):
    path = tables[1]
    rewritten(path, lambda members: {**members, name: content})
    refused(lambda: load_tables(path, 2), "the tables of an n-gram model must", str(path))


def test_packed_and_encrypted_tables_are_not_unpacked(tables):
    params, path = tables
    assert [words.tolist() for words in load_tables(path, 2).words] == [words.tolist() for words in params.words]
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"))
    flagged = path.read_bytes() != whole
    for offset in [] if flagged else [i for i in range(len(whole)) if whole[i : i + 4] == b"PK\x01\x02"]:
        path.write_bytes(whole[: offset + 8] + b"\x01" + whole[offset + 9 :])
    refused(lambda: load_tables(path, 2), "compressed or encrypted")
    path.write_bytes(whole)
    rewritten(path, lambda members: {**members, "words_2.npy": bytes(1 << 20)}, compression=zipfile.ZIP_DEFLATED)
    refused(lambda: load_tables(path, 2), "compressed or encrypted")


def test_tables_that_are_searched_must_be_sorted(tmp_path):
    two = ARPA.replace("ngram 2=1", "ngram 2=2").replace("-0.2\ta a\n", "-0.2\ta a\n-0.3\ta </s>\n")
    params, _ = read_arpa(arpa(tmp_path, two))
    save_tables(tmp_path / "m.npz", params)
    rewritten(tmp_path / "m.npz", lambda m: {**m, "words_2.npy": array(params.words[1][::-1], "<i4")})
    refused(lambda: load_tables(tmp_path / "m.npz", 2), "in their order")


@pytest.mark.parametrize("name", ["text.txt", "table.csv", "table.jsonl", "table.parquet"])
def test_texts_and_tables_that_are_no_files(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    read = (lambda: read_text(path, "char")) if name.endswith("txt") else (lambda: read_cells(path, "text"))
    refused(read, str(path))
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(read, str(path))


def test_parquet_says_what_it_is_before_it_is_read(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    for column in ([["a"], ["b"]], [{"a": 1}], [[["a"]]]):
        parquet.write_table(pyarrow.table({"text": column}), path)
        refused(lambda: read_cells(path, "text"), "must hold text, got")
    parquet.write_table(pyarrow.table({"text": pyarrow.nulls(1_000_001, pyarrow.string())}), path)
    refused(lambda: read_cells(path, "text"), "at most 8 rows for each byte, got 1,000,001 rows")
    parquet.write_table(pyarrow.table({"text": ["a", None, "b"], "label": [1, 2, 3]}), path)
    assert [cell for _, cell in read_cells(path, "text")] == ["a", None, "b"]
    assert [cell for _, cell in read_cells(path, "label")] == [1, 2, 3]
    few = pyarrow.array(["a", "b"] * 2000).dictionary_encode()
    parquet.write_table(pyarrow.table({"text": few}), path)
    assert [cell for _, cell in read_cells(path, "text")] == ["a", "b"] * 2000


def test_lines_of_logs_with_other_types_and_twice_are_left_out(tmp_path):
    good = [{"step": 1, "loss": 2.0}, {"step": 2, "valid_loss": None}, {"step": 3, "telemetry": {"a": [1, None]}}]
    bad = [{"step": 1, "loss": "2"}, {"step": 1.5}, {"step": True}, {"step": -1}, {"step": 2, "valid_x": [1]}, [], 3]
    bad += [{"step": 3, "telemetry": 5}, {"step": 3, "loss": 10**400}]
    lines = [json.dumps(record) for record in (good[0], good[0], *bad, *good[1:])]
    (tmp_path / "log").write_bytes("\n".join([*lines, "[" * 100_000, "1" * 5000, ""]).encode() + b"\xff\n")
    assert read_lines(tmp_path / "log") == good


@pytest.mark.parametrize("content", [b"[]", b"5", b'{"step": "3"}', b'{"seconds": []}', b'{"rows": [3]}', DEEP, LONG])
def test_results_of_other_types_are_refused(tmp_path, content):
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(ValueError) as error:
        read_results(tmp_path)
    assert str(error.value)
