"""Lines of files and of standard input: answered as they come, numbered, and refused in one line that says which."""

import io
import os
import sys

import pytest

from lm_jax.cli.lines import ROWS, Line, read_batches, refused_by_line
from lm_jax.errors import UserError


@pytest.fixture
def given(monkeypatch):
    """`given(b"bytes")` is what standard input has."""

    def give(raw):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="ascii"))

    return give


def test_a_line_in_a_pipe_is_there_before_the_next_is_written(monkeypatch):
    source, target = os.pipe()
    with os.fdopen(source) as reader:
        monkeypatch.setattr(sys, "stdin", reader)
        batches = read_batches(None)
        os.write(target, b"one\nbeg")
        assert next(batches) == [Line(1, "one")]
        os.write(target, b"un\nthree\n")
        assert next(batches) == [Line(2, "begun"), Line(3, "three")]
        os.write(target, b"  without an end ")
        os.close(target)
        assert list(batches) == [[Line(4, "without an end")]]


@pytest.mark.parametrize("source", ["file", "-", None])
def test_line_ends_and_marks_of_windows_are_none_of_the_text(source, given, tmp_path):
    raw = "\ufeffgrün \r\n\r\n  b\u2028c\r\n".encode()
    (tmp_path / "lines.txt").write_bytes(raw)
    given(raw)
    (batch,) = read_batches(str(tmp_path / "lines.txt") if source == "file" else source)
    assert batch == [Line(1, "grün"), Line(2, ""), Line(3, "b\u2028c")]


def test_many_lines_are_read_in_batches(given):
    given(b"a\n" * (2 * ROWS + 1))
    batches = list(read_batches(None))
    assert [len(batch) for batch in batches] == [ROWS, ROWS, 1]
    assert [line.number for batch in batches for line in batch] == list(range(1, 2 * ROWS + 2))


def test_bytes_that_are_no_text_are_refused_by_their_line(given):
    given(b"a\n\xff\xfe b\n")
    with pytest.raises(UserError, match="must be UTF-8, got byte 0xff at 0: line 2 of standard input"):
        list(read_batches(None))


def test_nothing_has_no_lines(given):
    given(b"")
    assert list(read_batches(None)) == []
    with pytest.raises(UserError, match="must be readable"):
        read_batches("nowhere.txt")  # before the first batch is asked for


def test_what_is_said_against_a_line_has_its_number():
    with pytest.raises(UserError, match=r"^a text is too long in line 7$") as caught, refused_by_line(Line(7, "a")):
        raise UserError("a text is too long", ["max_length"])
    assert list(caught.value.settings) == ["max_length"]
