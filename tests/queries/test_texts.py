"""What is no text, and no list of texts, is refused in one line."""

import pytest

from lm_jax.errors import UserError
from lm_jax.queries.texts import checked_text, checked_texts


@pytest.mark.parametrize("wrong", [5, None, b"a", ["a"]], ids=repr)
def test_no_text(wrong):
    with pytest.raises(UserError, match=rf"^a sentence must be a string, got {type(wrong).__name__} "):
        checked_text(wrong, "a sentence")


@pytest.mark.parametrize("wrong", [5, None, b"a"], ids=repr)
def test_no_list(wrong):
    with pytest.raises(UserError, match=rf"^words must be a list of words, got {type(wrong).__name__} "):
        checked_texts(wrong, "words")
    with pytest.raises(UserError, match="must be a list of texts, got one: 'a b'"):
        checked_texts("a b")


def test_whatever_has_texts_will_do():
    assert checked_text("a b") == "a b" and checked_texts(("a",)) == ("a",)
    assert checked_texts({"a": 1}.keys()) == checked_texts(iter(["a"])) == ["a"]
