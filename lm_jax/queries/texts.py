"""Texts that a question is asked about: each is a string, and there is a list of them."""

from collections.abc import Iterable, Sequence
from typing import Any

from lm_jax.errors import UserError


def checked_text(text: Any, name: str = "a text") -> str:
    """Returns a text; raises UserError for a value of another type."""
    if not isinstance(text, str):
        raise UserError(f"{name} must be a string, got {type(text).__name__} {str(text)[:40]!r}")
    return text


def checked_texts(texts: Any, name: str = "texts") -> Sequence[Any]:
    """Returns a list of texts, of which none was looked at; raises UserError for one text, and for what is no list."""
    of = f"{name} must be a list of {name}"
    if isinstance(texts, str):
        raise UserError(f"{of}, got one: {texts[:40]!r}")
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise UserError(f"{of}, got {type(texts).__name__} {str(texts)[:40]!r}")
    return texts if isinstance(texts, Sequence) else list(texts)
