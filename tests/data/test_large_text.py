"""A large file that is read in blocks is the corpus that the whole file is, and takes a fraction of the memory."""

import dataclasses
import random
import tracemalloc

import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.data import corpora, large_text, texts
from lm_jax.data.blocks import line_blocks
from lm_jax.data.large_text import LargeText


WORDS = ["a", "bé", "cat", "日本", "😀x", "the", *(f"w{number}" for number in range(50))]


def write_text(path, lines, seed=0):
    draw = random.Random(seed)
    path.write_text("\n".join(" ".join(draw.choices(WORDS, k=draw.randint(0, 9))) for _ in range(lines)), "utf-8")
    return str(path)


@pytest.fixture
def in_blocks(monkeypatch):
    """`in_blocks(size)`: from now on every file is large, and read in blocks of that many bytes."""

    def arrange(size):
        monkeypatch.setattr(large_text, "LARGE", 1)
        monkeypatch.setattr(large_text, "BLOCK", size)

    return arrange


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
@pytest.mark.parametrize("size", [60, 1000, 1 << 20])
def test_the_corpus_of_a_large_file_is_that_of_the_whole_text(tmp_path, in_blocks, size, end):
    path = write_text(tmp_path / "text.txt", 500)
    with open(path, "a") as file:
        file.write(end)
    options = {"level": "word", "min_count": None, "max_vocab": 40}
    whole, expected = corpora.load_corpus(path, **options), texts.load_texts(path, "word")
    in_blocks(size)
    opened = texts.open_texts(path, "word")
    assert isinstance(opened, LargeText)
    assert [opened.first_line(split) for split in texts.SPLITS] == [expected.first_line(s) for s in texts.SPLITS]
    assert ["".join(opened.blocks(s)) for s in texts.SPLITS] == [getattr(expected, s) for s in texts.SPLITS]
    found = corpora.load_corpus(path, **options)
    for field in dataclasses.fields(whole):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(whole, field.name), err_msg=field.name)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfa b\n", b"a\r\nb\n", b"a \xff\n", b"a\0\n", b"a" * 3000 + b"\n"])
def test_what_is_not_plain_is_left_to_those_who_read_it_whole(tmp_path, in_blocks, content):
    """A mark, returns, what is no UTF-8, NUL characters, and a line that is longer than a block."""
    (tmp_path / "text.txt").write_bytes(b"c d\n" * 100 + content * 100 if content[:1] != b"\xef" else content * 200)
    in_blocks(1000)
    assert large_text.open_large(str(tmp_path / "text.txt"), texts.SHARES) is None


def test_a_mistake_is_told_with_its_line_in_the_file(tmp_path, in_blocks):
    path = tmp_path / "text.txt"
    path.write_text("a b\n" * 990 + "a c\n" + "a b\n" * 9)
    in_blocks(100)
    vocabulary = corpora.load_corpus(None, "word", texts=texts.Texts("", "word", "a b\n", "a\n", "b\n")).vocabulary
    with pytest.raises(UserError, match=r"got 'c' in line 991"):
        corpora.load_corpus(str(path), "word", vocabulary)


def test_blocks_end_where_lines_end():
    text = "ab\n\ncdefg\nh"
    for size in range(12):
        parts = list(line_blocks(text, size))
        assert "".join(parts) == text and all(part.endswith("\n") for part in parts[:-1])
    assert list(line_blocks(text, 1)) == ["ab\n", "\ncdefg\n", "h"] and list(line_blocks("")) == []


def test_memory_is_a_small_multiple_of_the_text(tmp_path, in_blocks, monkeypatch):
    """Read whole, and made one list of words, it was thirty times the text."""
    path = write_text(tmp_path / "text.txt", 20_000)
    size = (tmp_path / "text.txt").stat().st_size
    in_blocks(1 << 14)
    monkeypatch.setattr(corpora, "CACHE_FROM", 1 << 40)
    tracemalloc.start()
    try:
        corpus = corpora.load_corpus(path, "word")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    tokens = 4 * len(corpus.train)  # bytes of their ids, which are twice in memory while they are joined
    assert size > 300_000 and peak < 2 * tokens + 20 * (1 << 14)
