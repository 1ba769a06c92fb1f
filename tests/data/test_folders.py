"""Folders of text files: which are joined, in which order, what is said of it and what is refused."""

import os

import pytest

from lm_jax import UserError
from lm_jax.data import load_corpus
from lm_jax.data.sources import how_read, read_source


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)


def test_text_files_are_joined_in_the_order_of_their_numbers(tmp_path):
    write(tmp_path, ch_10="ten\n", ch_2="two", ch_1="\ufeffone\r\n", Ch_3="three\n", preface="begin\n")
    assert read_source(str(tmp_path), "word", "text") == {"all": "one\ntwo\nthree\nten\nbegin\n"}
    assert how_read(str(tmp_path)) == "5 text files joined (ch_1.txt to preface.txt), split by position"
    assert how_read(str(tmp_path), "all") == "5 text files joined (ch_1.txt to preface.txt)"
    assert read_source(str(tmp_path), "byte", "text")["all"].endswith(b"two\nthree\nten\nbegin\n")


def test_a_joined_folder_is_split_as_one_file_of_the_same_text(tmp_path):
    lines = [f"line {number} of a text\n" for number in range(200)]
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts", a01="".join(lines[:50]), a2="".join(lines[50:190]), a10="".join(lines[190:]))
    write(tmp_path, whole="".join(lines))
    one, many = load_corpus(str(tmp_path / "whole.txt")), load_corpus(str(tmp_path / "parts"))
    assert one.sha256 == many.sha256 and one.reading == ""
    assert many.phrases[0] == "3 text files joined (a01.txt to a10.txt), split by position"


def test_other_files_and_folders_are_left_out_and_named(tmp_path):
    write(tmp_path, ch_1="one\n")
    for name in ("notes.md", "cover.png", ".DS_Store", "b.csv"):
        (tmp_path / name).write_text("other\n")
    (tmp_path / "old").mkdir()
    write(tmp_path / "old", ch_0="zero\n")
    assert read_source(str(tmp_path), "char", "text") == {"all": "one\n"}
    said = "1 text file (ch_1.txt), split by position; left out: b.csv, cover.png, notes.md and 1 more"
    assert how_read(str(tmp_path)) == said


def test_a_file_of_a_split_means_three_files_as_ever(tmp_path):
    write(tmp_path, train="a\n", ch_1="b\n")
    with pytest.raises(
        UserError, match=r"or only .txt files of other names, which are joined; got .* without valid.txt"
    ):
        read_source(str(tmp_path), "char", "text")
    write(tmp_path, valid="c\n", test="d\n")
    assert read_source(str(tmp_path), "char", "text") == {"train": "a\n", "valid": "c\n", "test": "d\n"}
    assert how_read(str(tmp_path)) == "" == how_read(None) == how_read("-") == how_read(str(tmp_path / "train.txt"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "got an empty folder: "),
        (["a.md", "b.csv"], "with a.md, b.csv"),
        (["inner/", ".hidden.txt"], "with inner/"),
    ],
    ids=["empty", "others", "nested"],
)
def test_a_folder_without_text_files_is_refused(names, message, tmp_path):
    for name in names:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).write_text("a\n")
    with pytest.raises(UserError) as caught:
        read_source(str(tmp_path), "char", "text")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert how_read(str(tmp_path)) == ""


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe\x00", b"a\0b\n"], ids=["empty", "latin", "binary"])
def test_a_bad_file_of_a_folder_is_named(raw, tmp_path):
    write(tmp_path, a="fine\n")
    (tmp_path / "b.txt").write_bytes(raw)
    with pytest.raises(UserError, match=r"b\.txt"):
        read_source(str(tmp_path), "char", "text")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_one_line(tmp_path):
    write(tmp_path, a="fine\n")
    (tmp_path / "a.txt").chmod(0)
    with pytest.raises(UserError, match=r"must be readable, got .*a\.txt: Permission denied"):
        read_source(str(tmp_path), "char", "text")
    tmp_path.chmod(0)
    with pytest.raises(UserError, match="a data folder must be readable"):
        read_source(str(tmp_path), "char", "text")
    tmp_path.chmod(0o700)
