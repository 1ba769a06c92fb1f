"""Whole words from models of smaller tokens: what a token does to a word, and the answers of a counted model."""

import pytest

import lm_jax
from lm_jax.data.vocabulary import BYTES, Vocabulary, build_vocabulary
from lm_jax.inference.word_search import GAP, NEW_WORD, SIGN, SPECIAL, WORD
from lm_jax.queries.complete import special_ids, token_kinds
from tests.runs.toy import WORDS, write_corpus


def kinds(vocabulary):
    return dict(zip(vocabulary.tokens, token_kinds(vocabulary).tolist(), strict=True))


def test_what_characters_do_to_a_word():
    found = kinds(build_vocabulary("char", "aé_7 ,'-\t\u0301\u00a0\n"))
    assert {sign for sign, kind in found.items() if kind == WORD} == set("aé_7\u0301")
    assert {sign for sign, kind in found.items() if kind == GAP} == set(" \t\u00a0")
    assert {sign for sign, kind in found.items() if kind == SIGN} == set(",'-")
    assert found["\n"] == SPECIAL


def test_what_bytes_do_to_a_word():
    found = kinds(Vocabulary("byte", BYTES))
    assert (found["20"], found["41"], found["2c"], found["0a"]) == (GAP, WORD, SIGN, SPECIAL)
    assert found["c3"] == WORD  # the first half of é


def test_what_pieces_of_words_do_to_a_word():
    pytest.importorskip("tokenizers")
    text = "the cat, the hat and the cats\n" * 40
    found = kinds(build_vocabulary("bpe", text, max_size=280))
    assert (found["Ġthe"], found["Ġ"], found["at"], found[","], found["</s>"]) == (NEW_WORD, GAP, WORD, SIGN, SPECIAL)


def test_special_tokens_of_each_level():
    assert special_ids(Vocabulary("word", ("a", "</s>", "<unk>", "<s>x", "<pad>"))) == [1, 2, 4]
    assert special_ids(build_vocabulary("char", "<unk>\n")) == [0]  # the end of a line alone


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """A run of 5-grams of characters."""
    folder = tmp_path_factory.mktemp("counted")
    config = lm_jax.NGramConfig(lm_jax.DataConfig(write_corpus(folder / "text")), order=5)
    return lm_jax.load(lm_jax.train(config, folder / "run").folder)


def test_a_counted_model_of_characters_completes_words(counted):
    found = counted.complete("a cab ", 6)
    assert found.exact and {word.word for word in found.words} == set(WORDS)
    assert found.words == sorted(found.words, key=lambda word: -word.probability)
    assert found.covered == pytest.approx(sum(word.probability for word in found.words)) and found.covered > 0.6
    everything = counted.complete("a cab ", 10**6, special=True)
    assert everything.covered == pytest.approx(1, abs=0.02)


def test_a_begun_word_is_gone_on_with_or_ended(counted):
    found = {word.word: word for word in counted.complete("bad c", 8).words}
    assert found["cab"].added == "ab" and found["cad"].added == "ad"
    assert found["cab"].probability + found["cad"].probability > 0.8
    after = {word.word: word for word in counted.complete("bad cab", 20).words}
    assert after["dab"].added == " dab" and "cab" in after


def test_no_end_of_line_unless_asked(counted):
    words = ["bad cab", 1000]
    assert "\n" not in {word.word for word in counted.complete(*words).words}
    (end,) = [word for word in counted.complete(*words, special=True).words if word.word == "\n"]
    next_token = {token.token: token.probability for token in counted.next_tokens("bad cab", 6)}
    assert next_token["\n"] <= end.probability <= next_token["\n"] + next_token[" "]  # there may be spaces before it
