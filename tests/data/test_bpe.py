"""Byte pairs: every text comes back exactly, the size is kept to, and a missing library is told in one line."""

import random
import sys

import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.data import Vocabulary, bpe, build_vocabulary, load_corpus


TRAIN = "the students opened their books\nthe naïve students closed the books\n" * 20 + "漢字 and 🙂\n" * 5

TEXTS = {
    "of training": TRAIN,
    "other words": "Zebras, unseen; (1,234.5) don't won't\n",
    "accents": "naïve café Ångström ñandú\n",
    "combining marks": "e\u0301 o\u0308\u0323 \u0915\u094d\u0937\n",
    "emoji": "🙂 👩‍👩‍👧‍👦 🇪🇺 👍🏽\n",
    "chinese": "漢字を學ぶ、中文。\n",
    "right to left": "שלום مرحبا\u200f\n",
    "white space": " one  two   three\t\tfour \u00a0\u2003five \n",
    "other line ends": "a\r\nb\rc\x0bd\x0ce\x85f\u2028g\n",
    "empty lines": "\n\n\na\n\n",
    "only spaces": "   \n  \n",
    "no newline at the end": "books",
    "controls": "\x01\x1b[31m\x7f\ufeff\ufffd\n",
    "names of special tokens": "<s> </s> <unk> [CLS] <|endoftext|></s>\n",
    "nothing": "",
}


@pytest.fixture(scope="module")
def vocabulary():
    """Byte pairs learned from TRAIN: 300 types."""
    pytest.importorskip("tokenizers")
    return build_vocabulary("bpe", TRAIN, max_size=300)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_text_comes_back_exactly(vocabulary, text):
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int32 and ids.ndim == 1
    assert vocabulary.decode(ids) == text
    assert (ids == vocabulary.eol_id).sum() == text.count("\n")
    assert vocabulary.unk_id is None


def test_any_characters_come_back_exactly(vocabulary):
    generator = random.Random(0)
    planes = [range(1, 0x250), range(0x300, 0x370), range(0x4E00, 0x4F00), range(0x1F300, 0x1F700), range(9, 33)]
    for _ in range(50):
        text = "".join(chr(generator.choice(generator.choice(planes))) for _ in range(100))
        assert vocabulary.decode(vocabulary.encode(text)) == text


def test_every_byte_has_a_type(vocabulary):
    """So that nothing can be unknown; each type decodes to the bytes that it stands for."""
    assert sorted(bpe.byte_of().values()) == list(range(256))
    single = [token for token in vocabulary.tokens if token in bpe.byte_of()]
    assert len(single) == 256 and len(set(vocabulary.tokens)) == len(vocabulary)


def test_pieces_come_as_soon_as_a_character_is_complete(vocabulary):
    """An unseen emoji is three tokens: the two bytes that it shares with a known one, and its two others."""
    ids = vocabulary.encode("a🎈b\n")
    assert list(vocabulary.pieces(ids)) == ["a", "", "", "🎈", "b", "\n", ""]
    for text in TEXTS.values():
        assert "".join(vocabulary.pieces(iter(vocabulary.encode(text)))) == text


def test_a_character_that_is_not_complete_is_replaced(vocabulary):
    assert vocabulary.decode(vocabulary.encode("a🎈")[:-1]) == "a\ufffd"


def test_lines_are_encoded_one_by_one(vocabulary):
    lines = ["the students", "", " the books", "naïve "]
    parts = [np.append(vocabulary.encode(line), vocabulary.eol_id) for line in lines]
    np.testing.assert_array_equal(vocabulary.encode("\n".join(lines) + "\n"), np.concatenate(parts))


def test_frequent_words_are_one_token(vocabulary):
    assert [vocabulary.decode([i]) for i in vocabulary.encode("the students")] == ["the", " students"]
    assert len(vocabulary.encode(TRAIN)) < len(TRAIN) / 3


@pytest.mark.parametrize("size", [257, 258, 280])
def test_the_size_is_exact_while_there_are_pairs(size):
    pytest.importorskip("tokenizers")
    assert len(build_vocabulary("bpe", TRAIN, max_size=size)) == size


def test_the_size_is_a_limit_only():
    """Two words can be merged no further than into two words."""
    pytest.importorskip("tokenizers")
    assert len(build_vocabulary("bpe", "ab cd\n" * 9)) == 257 + 3  # "ab", "cd", " cd"


@pytest.mark.parametrize("size", [3, 256])
def test_too_small_a_size_is_refused(size):
    pytest.importorskip("tokenizers")
    with pytest.raises(UserError, match=f"max_vocab of a bpe vocabulary must be at least 257 entries .*, got {size}"):
        build_vocabulary("bpe", TRAIN, max_size=size)


@pytest.mark.parametrize("where", [0, 1])
def test_the_end_of_line_token_must_not_be_in_a_corpus(where):
    texts = ["a b\n", "b\n"]
    texts[where] += "a </s>\n"
    with pytest.raises(UserError, match="must not occur in a text"):
        build_vocabulary("bpe", texts[0], texts[1:])


def test_learning_is_deterministic(vocabulary):
    assert build_vocabulary("bpe", TRAIN, max_size=300) == vocabulary


def test_save_and_load(vocabulary, tmp_path):
    vocabulary.save(tmp_path / "vocabulary.json")
    loaded = Vocabulary.load(tmp_path / "vocabulary.json")
    assert loaded == vocabulary and loaded.sha256 == vocabulary.sha256
    for text in TEXTS.values():
        np.testing.assert_array_equal(loaded.encode(text), vocabulary.encode(text))


def test_the_merges_are_part_of_the_fingerprint(vocabulary):
    assert Vocabulary("bpe", vocabulary.tokens, vocabulary.merges + " ").sha256 != vocabulary.sha256


def test_a_corpus_of_byte_pairs(vocabulary, tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_text(TRAIN)
    corpus = load_corpus(str(tmp_path), "bpe", max_vocab=300)
    assert corpus.vocabulary == vocabulary and corpus.vocabulary.decode(corpus.test) == TRAIN


def test_a_missing_library_is_told_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    needed = r'^level bpe needs the extra "bpe": pip install "lm-jax\[bpe\]"$'
    with pytest.raises(UserError, match=needed):
        build_vocabulary("bpe", "a text\n")
    with pytest.raises(UserError, match=needed):
        Vocabulary("bpe", ("</s>",), merges="never seen before").encode("a text")
