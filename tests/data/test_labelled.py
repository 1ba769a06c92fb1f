"""Labelled texts: the same from every kind of file; what cannot be used is one line with its place."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lm_jax.data.label_vocabulary import LabelVocabulary
from lm_jax.data.labelled import build_label_vocabulary, encode_split, fingerprint, most_frequent, read_splits
from lm_jax.data.passages import library_passages
from lm_jax.errors import UserError


PAIRS = [("pos", "a fine, 'quiet' film"), ("neg", "dull"), ("pos", "it works !"), ("neg", 'so "so"')] * 10


def write(folder, kind, pairs=PAIRS, names=("label", "text")):
    """Writes pairs of label and text as a file of a kind."""
    path = folder / f"texts{kind}"
    columns = {name: [pair[place] for pair in pairs] for place, name in enumerate(names)}
    if kind in (".tsv", ".txt"):
        path.write_text("".join(f"{label}\t{text}\n" for label, text in pairs))
    elif kind == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif kind == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(names, pair, strict=True))) + "\n" for pair in pairs))
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([names, *pairs])
    return str(path)


@pytest.mark.parametrize("kind", [".tsv", ".txt", ".csv", ".jsonl", ".parquet"])
def test_every_kind_of_file_gives_the_same_texts(kind, tmp_path):
    _, expected = read_splits(write(tmp_path, ".tsv"), "text", "label")
    _, splits = read_splits(write(tmp_path, kind, names=("mood", "words")), "words", "mood")
    assert fingerprint(splits) == fingerprint(expected)
    assert {split: len(texts) for split, texts in splits.items()} == {"train": 36, "valid": 2, "test": 2}


def test_a_file_sorted_by_label_has_all_labels_in_every_split(tmp_path):
    pairs = [(str(number // 100), f"text {number}") for number in range(400)]
    _, splits = read_splits(write(tmp_path, ".tsv", pairs), "text", "label")
    assert all(len({one.label for one in texts}) == 4 for texts in splits.values())
    assert sum(map(len, splits.values())) == 400 and len({one.text for t in splits.values() for one in t}) == 400


def test_a_folder_has_a_file_for_each_split(tmp_path):
    for name, count in (("train", 8), ("dev", 4), ("test", 4)):
        write(tmp_path, ".tsv", PAIRS[:count])
        (tmp_path / "texts.tsv").rename(tmp_path / f"{name}.tsv")
    _, splits = read_splits(str(tmp_path), "text", "label")
    assert [len(splits[split]) for split in ("train", "valid", "test")] == [8, 4, 4]


WRONG = {
    "no tab": (["pos\tfine"] * 30 + ["neg dull"], "tab.*line 31"),
    "no text": (["pos\tfine"] * 30 + ["neg\t  "], "must hold a word.*line 31"),
    "no label": (["pos\tfine"] * 30 + ["\tfine"], "label must not be empty.*line 31"),
    "few": (["pos\tfine", "neg\tdull"], "at least 20 texts, got 2"),
    "one class": (["pos\tfine"] * 30, "two classes, got pos alone"),
    "long": (["pos\tfine", "neg\tdull"] * 20 + ["pos" + "\t" + "word " * 60] * 10, "at most max_length tokens.*line"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_refused_with_its_place(name, tmp_path):
    lines, message = WRONG[name]
    (tmp_path / "texts.tsv").write_text("".join(line + "\n" for line in lines))
    with pytest.raises(UserError, match=message) as error:
        _, splits = read_splits(str(tmp_path / "texts.tsv"), "text", "label")
        vocabulary = build_label_vocabulary(splits, "word", "simple", False, 1, None)
        for texts in splits.values():
            encode_split(vocabulary, texts, 50)
    assert "\n" not in str(error.value)


def test_a_label_that_training_lacks_is_refused_with_its_line(tmp_path):
    for name, labels in (("train", "ab"), ("valid", "ab"), ("test", "ac")):
        (tmp_path / f"{name}.tsv").write_text("".join(f"{label}\tword\n" for label in labels))
    _, splits = read_splits(str(tmp_path), "text", "label")
    vocabulary = build_label_vocabulary(splits, "word", "simple", False, 1, None)
    with pytest.raises(UserError, match=r"one of training \(a, b\), got 'c' in line 2 of .*test.tsv"):
        encode_split(vocabulary, splits["test"], 50)


def test_a_column_that_is_not_there_is_refused_by_its_setting(tmp_path):
    for column, setting in (("text", "label_column"), ("label", "text_column")):
        path = write(
            tmp_path, ".csv", names=("label" if column == "label" else "x", "text" if column == "text" else "x")
        )
        with pytest.raises(UserError, match=f"({setting})") as error:
            read_splits(path, "text", "label")
        assert error.value.settings == (setting,)


@pytest.mark.parametrize("level", ["word", "char"])
def test_a_vocabulary_reads_what_it_never_saw_and_comes_back_from_disk(level, tmp_path):
    _, splits = read_splits(write(tmp_path, ".tsv"), "text", "label")
    vocabulary = build_label_vocabulary(splits, level, "simple", True, 1, None)
    assert vocabulary.labels == ("neg", "pos")
    unseen = vocabulary.encode("Zzz 9 FINE" if level == "word" else "Z9")
    assert vocabulary.unk_id in unseen and unseen.dtype == np.int32
    if level == "word":
        assert vocabulary.split("It's Fine!") == ["it", "'", "s", "fine", "!"]
        assert vocabulary.inputs.tokens[unseen[2]] == "fine"
    vocabulary.save(tmp_path / "vocabulary.json")
    assert LabelVocabulary.load(tmp_path / "vocabulary.json") == vocabulary
    changed = (tmp_path / "vocabulary.json").read_text().replace('"neg"', '"nil"')
    (tmp_path / "vocabulary.json").write_text(changed)
    with pytest.raises(UserError, match="sha256"):
        LabelVocabulary.load(tmp_path / "vocabulary.json")


def test_python_carries_passages_of_ten_packages():
    source, passages = library_passages()
    assert "Python" in source and len({package for package, _, _ in passages}) == 10 and len(passages) > 1500
    assert passages == library_passages()[1]
    _, splits = read_splits(None, "text", "label")
    assert all(len({one.label for one in texts}) == 10 for texts in splits.values())


def test_the_most_frequent_label():
    assert most_frequent(np.asarray([2, 1, 2, 1, 0])) == 1
