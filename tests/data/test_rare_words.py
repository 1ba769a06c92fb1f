"""Words that are too rare, or beyond the size of a vocabulary: which are kept, and what the others count for."""

import random

import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.config import DataConfig, TrainConfig
from lm_jax.data import Vocabulary, build_vocabulary, load_corpus


TEXT = "a a a b b c\nc d\n"  # a 3, b 2, c 2, two ends, d 1


@pytest.mark.parametrize(
    ("limits", "tokens"),
    [
        # without an unknown word in any text there is no type for it
        ({}, ["a", "</s>", "b", "c", "d"]),
        ({"max_size": 6}, ["a", "</s>", "b", "c", "d"]),
        ({"max_size": 5}, ["a", "</s>", "b", "c", "d"]),
        # d is unknown, once
        ({"min_count": 2}, ["a", "</s>", "b", "c", "<unk>"]),
        ({"min_count": 2, "max_size": 5}, ["a", "</s>", "b", "c", "<unk>"]),
        # b and c are as frequent: b is kept, by spelling; <unk> stands for c and d, three times, and "<" < "a"
        ({"max_size": 4}, ["<unk>", "a", "</s>", "b"]),
        ({"min_count": 2, "max_size": 4}, ["<unk>", "a", "</s>", "b"]),
        ({"min_count": 3}, ["<unk>", "a", "</s>"]),
        ({"max_size": 3}, ["<unk>", "a", "</s>"]),
        ({"min_count": 4}, ["<unk>", "</s>"]),
    ],
    ids=str,
)
def test_which_words_are_kept_in_which_order(limits, tokens):
    assert list(build_vocabulary("word", TEXT, **limits).tokens) == tokens


@pytest.mark.parametrize(
    ("text", "limits", "tokens"),
    [
        # <unk> is the third word by count, and never counts as one of the words that are kept
        ("a a a b b <unk> <unk> c\n", {"max_size": 4}, ["<unk>", "a", "b", "</s>"]),
        ("a a a b b <unk> <unk> c\n", {"max_size": 3}, ["<unk>", "a", "</s>"]),
        ("a a a b b <unk> <unk> c\n", {"max_size": 5}, ["a", "<unk>", "b", "</s>", "c"]),
        # its own count does not drop it, and is added to that of the words it stands for: 1 + 1
        ("a a a b b <unk> c\n", {"min_count": 2}, ["a", "<unk>", "b", "</s>"]),
    ],
    ids=str,
)
def test_the_unknown_word_of_a_text(text, limits, tokens):
    assert list(build_vocabulary("word", text, **limits).tokens) == tokens


@pytest.mark.parametrize(
    ("others", "size", "tokens"),
    [
        # four words and </s>: nothing is lost, and nothing is unknown
        (["d c\n"], 5, ["</s>", "a", "b", "c", "d"]),
        # e is unknown, and its type is one of the five
        (["d e\n"], 5, ["</s>", "<unk>", "a", "b", "c"]),
        (["d e\n"], 6, ["</s>", "a", "b", "c", "d", "<unk>"]),
        (["d c\n"], 4, ["<unk>", "</s>", "a", "b"]),
    ],
)
def test_a_text_that_fits_loses_no_word(others, size, tokens):
    assert list(build_vocabulary("word", "a b c d\n", others, max_size=size).tokens) == tokens


def test_two_types_are_enough_for_one_word():
    assert build_vocabulary("word", "a\na\n", max_size=2).tokens == ("</s>", "a")


@pytest.fixture(scope="module")
def long_text():
    """3,000 words of 400 types with falling counts, in lines."""
    generator = random.Random(0)
    words = [f"w{min(399, int(generator.expovariate(0.02)))}" for _ in range(3000)]
    return "".join(word + ("\n" if i % 9 == 8 else " ") for i, word in enumerate(words)) + "\n"


@pytest.mark.parametrize("size", [3, 4, 50, 100])
def test_the_size_is_exact(long_text, size):
    vocabulary = build_vocabulary("word", long_text, max_size=size)
    assert len(vocabulary) == size and vocabulary.unk_id is not None
    assert list(vocabulary.tokens) == by_count(long_text, vocabulary)


@pytest.mark.parametrize("least", [2, 5, 40])
def test_rarer_words_are_dropped_and_no_others(long_text, least):
    vocabulary = build_vocabulary("word", long_text, min_count=least)
    words = long_text.split()
    frequent = {word for word in words if words.count(word) >= least}
    assert set(vocabulary.tokens) == frequent | {"<unk>", "</s>"} and len(frequent) < len(set(words))
    assert list(vocabulary.tokens) == by_count(long_text, vocabulary)


def by_count(text, vocabulary):
    """The types of a vocabulary, sorted by how often each is in the text once it is encoded."""
    counts = np.bincount(vocabulary.encode(text), minlength=len(vocabulary))
    return sorted(vocabulary.tokens, key=lambda token: (-counts[vocabulary.ids[token]], token))


def test_a_dropped_word_is_encoded_as_unknown():
    vocabulary = build_vocabulary("word", TEXT, min_count=2)
    assert vocabulary.decode(vocabulary.encode(TEXT)) == "a a a b b c\nc <unk>\n"
    assert vocabulary.decode(vocabulary.encode("d e a\n")) == "<unk> <unk> a\n"


def test_a_word_of_another_text_counts_in_training_only():
    """Twice in the validation text is not twice in training."""
    assert build_vocabulary("word", "a a b\n", ["b b c\n"], min_count=2).tokens == ("a", "</s>", "<unk>")


@pytest.mark.parametrize(
    ("level", "limits", "message"),
    [
        ("word", {"max_size": 2}, "max_vocab must be at least 3 .* got 2"),
        ("word", {"max_size": 1}, "max_vocab must be at least 3 .* got 1"),
        ("char", {"min_count": 2}, "for words .* got level char"),
        ("char", {"max_size": 5}, "for words .* got level char"),
        ("byte", {"min_count": 2}, "for words .* got level byte"),
        ("byte", {"max_size": 300}, "for words .* got level byte"),
        ("bpe", {"min_count": 2}, "for words .* got level bpe"),
    ],
)
def test_limits_that_make_no_sense_are_refused(level, limits, message):
    with pytest.raises(UserError, match=message):
        build_vocabulary(level, TEXT.encode() if level == "byte" else TEXT, **limits)


@pytest.mark.parametrize("limits", [{"min_count": 0}, {"max_vocab": 0}, {"min_count": 1.5}], ids=str)
def test_limits_are_whole_numbers_from_one_on(limits):
    with pytest.raises(UserError, match=f"{next(iter(limits))} must be a whole number of at least 1"):
        TrainConfig(data=DataConfig(level="word", **limits)).check()


def test_a_corpus_with_limits_and_its_vocabulary_on_disk(tmp_path):
    for name, text in (("train", TEXT), ("valid", "a d\n"), ("test", "b e\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    corpus = load_corpus(str(tmp_path), "word", max_vocab=5)
    assert [corpus.vocabulary.decode(ids) for ids in (corpus.valid, corpus.test)] == ["a <unk>\n", "b <unk>\n"]
    corpus.vocabulary.save(tmp_path / "vocabulary.json")
    loaded = Vocabulary.load(tmp_path / "vocabulary.json")
    assert loaded == corpus.vocabulary and loaded.tokens[loaded.unk_id] == "<unk>"
    again = load_corpus(str(tmp_path), "word", loaded)  # a given vocabulary needs no limits
    np.testing.assert_array_equal(again.train, corpus.train)
    assert len(load_corpus(str(tmp_path), "word", min_count=3).vocabulary) == 3
