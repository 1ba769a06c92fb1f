"""Corpora: the default text, files, folders, and what is refused."""

import hashlib
import platform

import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.data import build_vocabulary, load_corpus
from lm_jax.data.texts import SPLITS, Texts, default_text, load_texts


LINES = "".join(f"line {i % 9} of the text\n" for i in range(200))


@pytest.fixture
def folder(tmp_path):
    """A folder with three texts."""
    for name, text in (("train", "a b\nb a\n"), ("valid", "a c\n"), ("test", "b\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    return tmp_path


def whole(texts):
    """The three texts as one."""
    return texts.train + texts.valid + texts.test


@pytest.mark.parametrize("level", ["char", "byte", "word"])
def test_the_default_corpus_is_the_topics_of_this_python(level):
    texts, text = load_texts(None, level), default_text()
    assert whole(texts) == (text.encode() if level == "byte" else text)
    assert texts.source.endswith(platform.python_version())
    newline = b"\n" if level == "byte" else "\n"
    assert all(getattr(texts, split).endswith(newline) for split in SPLITS)
    shares = [len(getattr(texts, split)) / len(whole(texts)) for split in SPLITS]
    np.testing.assert_allclose(shares, [0.9, 0.05, 0.05], atol=0.01)  # a cut moves to the end of its line


def test_the_default_corpus_loads():
    corpus = load_corpus()
    assert corpus.vocabulary.decode(corpus.valid) == load_texts(None, "char").valid
    assert corpus.characters == {split: len(getattr(corpus, split)) for split in SPLITS}
    assert len(corpus.train) > 300_000 and len(corpus.vocabulary) > 50
    assert {corpus.vocabulary.tokens[i] for i in corpus.train} <= set(corpus.vocabulary.tokens)


@pytest.mark.parametrize("level", ["char", "byte", "word"])
def test_a_file_is_split_by_position_at_line_ends(level, tmp_path):
    (tmp_path / "text.txt").write_text(LINES)
    texts = load_texts(str(tmp_path / "text.txt"), level)
    assert whole(texts) == (LINES.encode() if level == "byte" else LINES)
    lines = [len(getattr(texts, split).splitlines()) for split in SPLITS]
    np.testing.assert_allclose(lines, [180, 10, 10], atol=2)
    corpus = load_corpus(str(tmp_path / "text.txt"), level)
    for split in SPLITS:
        text = getattr(texts, split)
        expected = text.decode() if level == "byte" else text
        assert corpus.vocabulary.decode(getattr(corpus, split)) == expected
        assert corpus.characters[split] == len(text)


def test_a_folder_is_three_texts(folder):
    corpus = load_corpus(str(folder), "word")
    assert [corpus.vocabulary.decode(getattr(corpus, split)) for split in SPLITS] == ["a b\nb a\n", "a <unk>\n", "b\n"]
    assert corpus.source == str(folder)


def test_a_given_vocabulary_is_kept(folder):
    vocabulary = load_corpus(str(folder), "word").vocabulary
    (folder / "train.txt").write_text("c a\n")
    corpus = load_corpus(str(folder), "word", vocabulary)
    assert corpus.vocabulary is vocabulary and corpus.vocabulary.decode(corpus.train) == "<unk> a\n"


@pytest.mark.parametrize("change", ["train", "valid", "test"])
def test_the_fingerprint_follows_every_text(folder, change):
    before = load_corpus(str(folder)).sha256
    assert load_corpus(str(folder), "word").sha256 == load_corpus(str(folder), "byte").sha256 == before
    (folder / f"{change}.txt").write_text("a a\n")
    assert load_corpus(str(folder)).sha256 != before


def test_the_fingerprint_of_splits_with_nul_bytes_tells_them_apart():
    """Joined by NUL they would be the same bytes. Recorded fingerprints are of texts without NUL, joined by it."""
    splits = [(b"a\n", b"b\n\0c\n", b"d\n"), (b"a\n\0b\n", b"c\n", b"d\n"), (b"a\n", b"b\n", b"c\n\0d\n")]
    assert len({Texts("", "byte", *texts).sha256 for texts in splits}) == 3
    assert Texts("", "byte", b"a\n", b"b\n", b"c\n").sha256 == hashlib.sha256(b"a\n\0b\n\0c\n").hexdigest()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\r\nb\r\n", "a\nb\n"),
        (b"a\nb", "a\nb\n"),
        (b"\xef\xbb\xbfa\n", "a\n"),
        (b"a\rb\n", "a\rb\n"),
        (b"a\rb\r", "a\nb\n"),
        ("é\n".encode(), "é\n"),
    ],
    ids=["windows line ends", "no newline at the end", "byte-order mark", "lone return", "old mac", "utf-8"],
)
def test_text_files_are_read_as_text(folder, raw, text):
    (folder / "valid.txt").write_bytes(raw)
    assert load_texts(str(folder), "char").valid == text
    ended = raw if raw.endswith(b"\n") else raw + b"\n"
    assert load_texts(str(folder), "byte").valid == ended  # bytes are left as they are


def test_a_home_folder_is_expanded(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load_texts(f"~/{folder.name}", "char").test == "b\n"


BAD_FILES = {
    "empty": (b"", "got an empty one"),
    "white space": (b" \n\n", "got an empty one"),
    "byte-order mark and newlines": (b"\xef\xbb\xbf\n\n", "got an empty one"),
    "latin-1": ("café\n".encode("latin-1"), "must be UTF-8, got byte 0xe9 at 3"),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00", "must be UTF-8"),
    "binary that is UTF-8": (b"a\x00b\n", "binary file"),
    "one line": (b"one line only\n", "needs more lines, got 1"),
}


@pytest.mark.parametrize(("raw", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_are_refused(raw, message, tmp_path):
    (tmp_path / "text.txt").write_bytes(raw)
    with pytest.raises(UserError, match=message) as caught:
        load_corpus(str(tmp_path / "text.txt"))
    assert "\n" not in str(caught.value) and str(tmp_path / "text.txt") in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"must be an existing .* got .*nowhere"):
        load_corpus(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("missing", SPLITS)
def test_a_folder_that_lacks_a_file_is_refused(folder, missing):
    (folder / f"{missing}.txt").unlink()
    with pytest.raises(UserError, match=f"without {missing}.txt"):
        load_corpus(str(folder))


def test_a_vocabulary_of_one_is_refused(tmp_path):
    (tmp_path / "text.txt").write_text("\u00a0\n" * 50)  # no-break spaces: white space, but not to the bytes of a file
    with pytest.raises(UserError, match="a vocabulary needs at least 2 entries, got 1"):
        load_corpus(str(tmp_path / "text.txt"), "word")


@pytest.mark.parametrize("level", ["char", "word"])
def test_a_line_that_cannot_be_encoded_has_the_number_that_it_has_in_the_file(tmp_path, level):
    """The file is split 90/5/5: line 99 is the fourth of the last part."""
    lines = ["a b"] * 100
    lines[98] = "a z"
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
    vocabulary = build_vocabulary(level, "a b\n")
    with pytest.raises(UserError, match=r"got 'z' in line 99$"):
        load_corpus(str(tmp_path / "text.txt"), level, vocabulary)
