"""Vocabularies: which types, in which order, and text to ids and back."""

import hashlib
import json

import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.data import Vocabulary, build_vocabulary
from lm_jax.data.vocabulary import BYTES, with_zero_count_type


TEXTS = {
    "ascii": "the cat\nsat\n",
    "blank lines": "\n\na\n\n",
    "no newline at the end": "one two",
    "accents and emoji": "naïve café 🙂\n漢字\n",
    "nothing": "",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("level", ["char", "byte"])
def test_characters_and_bytes_round_trip(level, text):
    raw = text.encode() if level == "byte" else text
    vocabulary = build_vocabulary(level, raw)
    ids = vocabulary.encode(raw)
    assert ids.dtype == np.int32 and len(ids) == len(raw)
    assert vocabulary.decode(ids) == text
    assert "".join(vocabulary.pieces(ids)) == text


@pytest.mark.parametrize("text", ["the cat\nsat\n", "\n\na b\n\n", "one two", ""])
def test_words_round_trip(text):
    vocabulary = build_vocabulary("word", text + "\n")
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_words_are_split_at_any_white_space_and_joined_by_one_space():
    vocabulary = build_vocabulary("word", "a  b\tc \n d\n")
    assert vocabulary.decode(vocabulary.encode("a  b\tc \n d\n")) == "a b c\nd\n"


@pytest.mark.parametrize("raw", [b"\xff\xfe\n", b"a\x80b\n", b"\xf0\x9f\x99\n", bytes(range(256))])
def test_bytes_that_are_not_utf8_keep_their_ids(raw):
    vocabulary = build_vocabulary("byte", raw)
    np.testing.assert_array_equal(vocabulary.encode(raw), list(raw))
    assert vocabulary.decode(vocabulary.encode(raw)) == raw.decode("utf-8", "replace")


def test_pieces_of_bytes_come_as_soon_as_a_character_is_complete():
    vocabulary = build_vocabulary("byte", b"")
    assert list(vocabulary.pieces("aé".encode())) == ["a", "", "é", ""]


def test_characters_are_sorted_and_taken_from_all_texts():
    vocabulary = build_vocabulary("char", "ba", ["cab", "z"])
    assert vocabulary.tokens == ("\n", "a", "b", "c", "z")
    assert vocabulary.eol_id == 0 and vocabulary.unk_id is None


def test_bytes_are_the_256_bytes():
    vocabulary = build_vocabulary("byte", b"abc")
    assert vocabulary.tokens == BYTES and len(vocabulary) == 256
    assert vocabulary.eol_id == ord("\n") and vocabulary.tokens[vocabulary.eol_id] == "0a"


def test_words_are_sorted_by_falling_count_then_spelling():
    vocabulary = build_vocabulary("word", "b a b c\nd a b\n")
    assert vocabulary.tokens == ("b", "</s>", "a", "c", "d")  # 3, then 2 and 2: "</s>" sorts before "a"
    assert vocabulary.tokens[vocabulary.eol_id] == "</s>"


@pytest.mark.parametrize(
    ("train", "others", "unknown"),
    [
        ("a b\n", ["b a\n"], False),
        ("a b\n", ["a\n", "c\n"], True),
        ("a <unk>\n", ["a\n"], True),
        ("a b\n", [], False),
    ],
)
def test_the_unknown_word_is_a_type_only_where_it_is_needed(train, others, unknown):
    vocabulary = build_vocabulary("word", train, others)
    assert ("<unk>" in vocabulary.tokens) == unknown == (vocabulary.unk_id is not None)
    assert len(set(vocabulary.tokens)) == len(vocabulary)
    if unknown:
        assert vocabulary.encode("zebra").tolist() == [vocabulary.unk_id]


def test_the_unknown_word_that_training_lacks_comes_last():
    assert build_vocabulary("word", "a b\n", ["c\n"]).tokens == ("</s>", "a", "b", "<unk>")


@pytest.mark.parametrize("text", ["ab\nab\nxb", "ab\nab\n\ufeffb", "ab\nab\n\U0001f642"])
def test_an_unknown_character_is_refused_with_its_line(text):
    with pytest.raises(UserError, match=r"every character must be in the vocabulary, got .* in line 3"):
        build_vocabulary("char", "ab").encode(text)


def test_half_a_surrogate_pair_is_refused_with_its_line():
    with pytest.raises(UserError, match=r"must be Unicode, got the lone surrogate '.ud800' in line 2"):
        build_vocabulary("byte", b"").encode("a\nb\ud800\n")


def test_an_unknown_word_is_refused_with_its_line():
    with pytest.raises(UserError, match=r"every word must be in the vocabulary.* got 'zebra' in line 2"):
        build_vocabulary("word", "a b\n").encode("a b\nb zebra a\n")


def test_the_end_of_line_word_must_not_be_in_a_text():
    with pytest.raises(UserError, match="must not occur in a text"):
        build_vocabulary("word", "a </s>\n")
    with pytest.raises(UserError, match="stands for the end of a line, got it in line 2"):
        build_vocabulary("word", "a b\n").encode("a\nb </s>\n")


@pytest.mark.parametrize("level", ["char", "byte", "word"])
def test_save_and_load(level, tmp_path):
    text = "naïve 🙂 text\n"
    vocabulary = build_vocabulary(level, text.encode() if level == "byte" else text)
    vocabulary.save(tmp_path / "vocabulary.json")
    loaded = Vocabulary.load(tmp_path / "vocabulary.json")
    assert loaded == vocabulary and loaded.sha256 == vocabulary.sha256


def test_a_changed_file_is_refused(tmp_path):
    path = tmp_path / "vocabulary.json"
    build_vocabulary("char", "abc").save(path)
    record = json.loads(path.read_text())
    record["tokens"][1:3] = record["tokens"][2:0:-1]
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match="must match its sha256"):
        Vocabulary.load(path)


def test_the_fingerprint_depends_on_level_types_and_order():
    prints = {
        Vocabulary("char", ("a", "b")).sha256,
        Vocabulary("word", ("a", "b")).sha256,
        Vocabulary("char", ("b", "a")).sha256,
        Vocabulary("char", ("ab",)).sha256,
    }
    assert len(prints) == 4


@pytest.mark.parametrize(("text", "name"), [("a b\n", "<unk>"), ("a <unk>\n", "<oov>")])
def test_the_zero_count_type_of_kenlm_comes_last_and_leaves_the_other_ids(text, name):
    vocabulary = build_vocabulary("word", text)
    extended = with_zero_count_type(vocabulary)
    assert extended.tokens == (*vocabulary.tokens, name)
    assert extended.eol_id == vocabulary.eol_id
    np.testing.assert_array_equal(extended.encode(text), vocabulary.encode(text))


def test_the_zero_count_type_is_for_words_and_must_be_new():
    with pytest.raises(UserError, match="is for words, got level char"):
        with_zero_count_type(build_vocabulary("char", "ab"))
    with pytest.raises(UserError, match="adds <oov>, got a text that has it"):
        with_zero_count_type(build_vocabulary("word", "a <unk> <oov>\n"))


def test_words_are_split_as_the_vocabulary_says():
    text = "The cat, the <unk>; don't!\nThe END\n"
    simple = build_vocabulary("word", text, ["a new cat.\n"], tokenizer="simple", lower=True)
    assert set(simple.tokens) == {*"the cat , <unk> ; don ' t ! end </s>".split()}
    ids = simple.encode("The cat, zebra\nEND")
    assert [simple.tokens[i] for i in ids] == ["the", "cat", ",", "<unk>", "</s>", "end"]
    assert simple.decode(simple.encode(text)) == text.lower()


def test_the_way_to_split_is_recorded_only_where_there_is_a_choice(tmp_path):
    plain, simple = (build_vocabulary("word", "a b.\n", tokenizer=name) for name in ("whitespace", "simple"))
    assert plain.to_record().keys() == {"level", "sha256", "tokens", "merges"}
    contents = json.dumps(["word", list(plain.tokens)])
    assert plain.sha256 == hashlib.sha256(contents.encode()).hexdigest()  # as it was before
    for vocabulary in (plain, simple, build_vocabulary("word", "A b.\n", lower=True)):
        vocabulary.save(tmp_path / "vocabulary.json")
        assert Vocabulary.load(tmp_path / "vocabulary.json") == vocabulary
    same_types = Vocabulary("word", plain.tokens, tokenizer="simple")
    assert same_types.sha256 != plain.sha256
