"""Words as the pre-tokenisers of the `tokenizers` library part them."""

import string
import sys
import unicodedata

import numpy as np
import pytest

from lm_jax.data import build_vocabulary, pre_tokenizers
from lm_jax.data.tokenizers import split_words
from lm_jax.errors import UserError


pytest.importorskip("tokenizers")
TEXT = "Héllo, don't <unk>! foo_bar 3.14 e-mail x2y\tz  (end). £5 n° 東京\n"


def parted(text, alone):
    """The words of a text by the rule: white space parts them, and what is `alone` is a word of one character."""
    return "".join(f" {sign} " if alone(sign) else sign for sign in text).split()


def is_punctuation(sign):
    """As BERT has it: every ASCII sign, and what Unicode calls punctuation."""
    return sign in string.punctuation or unicodedata.category(sign).startswith("P")


def test_bert_parts_punctuation():
    rng = np.random.default_rng(0)
    signs = np.array([*string.printable, *"éß字£€°«»—’¿…"])
    for _ in range(200):
        text = "".join(rng.choice(signs, 40))
        assert split_words(text, "bert") == parted(text, is_punctuation)
        alone = lambda sign: is_punctuation(sign) or sign in string.digits  # noqa: E731
        assert split_words(text, "digits") == parted(text, alone)


def test_scripts_part_words():
    assert (
        split_words("東京タワーabc キタ3.14, привет!ok", "scripts") == "東京タワー abc キタ 3.14, привет ! ok".split()
    )


@pytest.mark.parametrize("name", pre_tokenizers.PRE_TOKENIZERS)
def test_unk_is_a_word_and_white_space_is_pythons(name):
    assert split_words("a<unk>b <unk>, <unk><unk>\x1cc\u2028d", name) == "a <unk> b <unk> , <unk> <unk> c d".split()
    assert split_words("", name) == [] == split_words(" \n", name)
    assert split_words("a\udc80", name) in (["a", "?"], ["a?"])  # half a surrogate pair has no letter


@pytest.mark.parametrize("name", pre_tokenizers.PRE_TOKENIZERS)
def test_a_vocabulary_of_such_words_encodes_its_text(name):
    vocabulary = build_vocabulary("word", TEXT, tokenizer=name, lower=True)
    ids = vocabulary.encode(TEXT)
    assert [vocabulary.tokens[i] for i in ids] == [*split_words(TEXT.lower(), name), "</s>"]
    assert list(vocabulary.encode(vocabulary.decode(ids))) == list(ids)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    pre_tokenizers._pre_tokenizer.cache_clear()
    with pytest.raises(UserError, match=r'^tokenizer bert needs the extra "bpe": pip install "lm-jax\[bpe\]"$'):
        split_words("never seen before, so it is not cached", "bert")
    pre_tokenizers._pre_tokenizer.cache_clear()
