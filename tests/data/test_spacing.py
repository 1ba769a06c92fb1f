"""Words that were parted from their punctuation, put together as English is written."""

import numpy as np
import pytest

from lm_jax.data.spacing import Spacing
from lm_jax.data.tokenizers import split_words
from lm_jax.data.vocabulary import build_vocabulary


def spaced(words, tokenizer="simple"):
    spacing = Spacing(tokenizer)
    return "".join(spacing.gap(word) + word for word in words)


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world! How are you?",
        "I don't know; it's Tom's (not mine).",
        "They'll say we've won, and I'd agree.",
        'He said "no, thanks" and left.',
        "'Tis the well-known 3.14 of 1,000 at 10:30, 5% or $20.",
        "in 1990, 20 people [of <unk>] came",
        "either/or -- and so on...",
        "- an item",
        "the dogs' bowl.",
    ],
)
def test_usual_text_comes_back(text):
    assert spaced(split_words(text, "simple")) == text.replace(" -- ", "--")


def test_words_at_white_space_are_joined_by_it():
    assert spaced(["a", ",", "'b'"], "whitespace") == "a , 'b'"


@pytest.mark.parametrize("tokenizer", ["bert", "digits", "scripts"])
def test_so_it_does_by_a_pre_tokenizer(tokenizer):
    """A sign may be none to it: by BERT's rule £ is no punctuation, and £5 is a word."""
    pytest.importorskip("tokenizers")
    rng = np.random.default_rng(0)
    text = "abZ_7.,;:!?()[]{}'\"-—/%$£€<>«»&* é字タワー don't 1990 <unk> £5 5% ).\n"
    types = sorted({*split_words(text, tokenizer), *(one for sign in text for one in split_words(sign, tokenizer))})
    for _ in range(500):
        words = list(rng.choice(types, rng.integers(1, 12)))
        assert split_words(spaced(words, tokenizer), tokenizer) == words


@pytest.mark.parametrize(
    ("tokenizer", "text"),
    [
        ("bert", 'He paid £5 (5%) in 1990, "no more"; it isn\'t much.'),
        ("digits", "on 24 May 1990, at 10:30, it's 3.14!"),
        ("scripts", "in 1990, it's 3.14: 東京タワー!"),
    ],
)
def test_usual_text_comes_back_by_a_pre_tokenizer(tokenizer, text):
    pytest.importorskip("tokenizers")
    assert spaced(split_words(text, tokenizer), tokenizer) == text


def test_the_text_splits_into_the_same_words_again():
    rng = np.random.default_rng(0)
    types = [*"abZ_7.,;:!?()[]{}'’\"-—/%$<>«»&*é字", "<unk>", "don", "s", "t", "1990", "unk"]
    for _ in range(500):
        words = list(rng.choice(types, rng.integers(1, 12)))
        assert split_words(spaced(words), "simple") == words


def test_a_text_is_continued_with_the_space_that_its_end_needs():
    text = 'Well, (it) isn\'t "so".\n'
    vocabulary = build_vocabulary("word", text, tokenizer="simple")
    for cut in ("", "Well", "Well,", "Well, ", "Well, (", "Well, (it) isn", "Well, (it) isn't \"", "a line\n"):
        rest = text.removeprefix(cut) if text.startswith(cut) else text
        assert "".join(vocabulary.pieces(vocabulary.encode(rest), after=cut)) == rest
    assert vocabulary.decode(vocabulary.encode(text + text)) == text + text
