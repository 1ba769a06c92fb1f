"""Readers of a word of the command line: a number, one of several choices, the name of a kind."""

import argparse
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union, get_args, get_origin

from lm_jax.config.settings import choices
from lm_jax.errors import did_you_mean


Reader = Callable[[str], Any]
Reading = tuple[Reader, list[str] | None]  # and the choices, None: any word
Elsewhere = Mapping[str, str]  # a choice, and the flag that has it
NUMBERS = {int: ("a whole number", int), float: ("a number", float)}


def reader_of(annotations: Sequence[Any], elsewhere: Elsewhere) -> Reading:
    """Returns the reader of a setting with these types (one for each kind that has it), and its choices (None: any)."""
    literals = [choices(annotation) for annotation in annotations]
    if literals[0] is not None:
        options = list(dict.fromkeys(option for each in literals if each for option in each))
        return choice_reader(options, elsewhere), options
    number = NUMBERS.get(plain_type(annotations[0]))
    if number is None:
        return str, None
    return _number_reader(*number, optional=type(None) in get_args(annotations[0])), None


def plain_type(annotation: Any) -> Any:
    """Returns int for `int`, `int | None` and `tuple[int, ...]`."""
    if get_origin(annotation) in (types.UnionType, Union, tuple):
        return next(part for part in get_args(annotation) if part not in (type(None), Ellipsis))
    return annotation


def choice_reader(options: Sequence[str], elsewhere: Elsewhere) -> Reader:
    """Returns a reader of one of several words; what is another flag's word is said to be that."""

    def read(word):
        if word not in options:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(options)}, got {word!r}{_hint(word)}")
        return word

    def _hint(word):
        flag = elsewhere.get(word.lower())
        near = did_you_mean(word, options)
        return near if near or flag is None else f"; did you mean {flag} {word.lower()}?"

    return read


def kind_reader(table: Mapping[str, Any], own: str | None, elsewhere: Elsewhere) -> Reader:
    """Returns a reader of the name of a kind.

    Args:
        table: The kinds by name.
        own: What a user's own kind is written as, such as FILE.py:NAME; None where there can be none.
        elsewhere: Choices of other settings, and the flag that has each.
    """
    plain = choice_reader(list(table), elsewhere)
    if own is None:
        return plain

    def read(word):
        if ":" in word:
            return word
        try:
            return plain(word)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}; {own} for one of your own") from None

    return read


def _number_reader(words, convert, optional):
    def read(word):
        if optional and word.lower() == "none":
            return None
        try:
            return convert(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be {words}, got {word!r}") from None

    return read
