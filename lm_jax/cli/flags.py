"""The flags of a parser, made from the settings of dataclasses.

A flag is not given by default, so that what a user types can be distinguished from defaults.
"""

import argparse
import dataclasses
import difflib
import types
from collections.abc import Callable, Sequence
from typing import Any, Union, get_args, get_origin

from lm_jax.config.flat import flat_settings, flat_values
from lm_jax.config.settings import choices


WIDEST_METAVAR = 48  # columns; longer choices are listed in the help
SHORT_NAMES = {"learning_rate": ["--lr"]}
SECTIONS = {"data": "text", "optimizer": "optimiser", "": "training"}  # titles of groups, where the name is not one
Parser = argparse.ArgumentParser


def positional(help: str, metavar: str, *, several: bool = False, optional: bool = False) -> Any:
    """Declares an argument without a flag; several: one or more words; optional: one or none, None then."""
    nargs = "+" if several else "?" if optional else None
    metadata = {"help": help, "metavar": metavar, "nargs": nargs, "positional": True}
    return dataclasses.field(default=None if optional else dataclasses.MISSING, metadata=metadata)


def flag_name(name: str) -> str:
    """Returns the flag of a setting."""
    return f"--{name.replace('_', '-')}"


def add_arguments(parser: Parser, cls: type) -> None:
    """Adds positionals and flags of a verb's own dataclass."""
    group = parser.add_argument_group("options")
    for field in dataclasses.fields(cls):
        metadata = field.metadata
        if metadata.get("positional"):
            parser.add_argument(
                field.name,
                metavar=metadata["metavar"],
                help=metadata["help"],
                nargs=metadata["nargs"],
            )
        elif "help" in metadata:
            _add_flag(group, field.name, [field.type], metadata["help"], field.default, metadata.get("metavar"))


def add_config(parser: Parser, cls: type) -> None:
    """Adds a flag for every setting of a configuration and of all kinds that it could have, in groups."""
    by_name: dict[str, list[Any]] = {}
    for entry in flat_settings(cls):
        by_name.setdefault(entry.name, []).append(entry)
    groups: dict[str, Any] = {}
    defaults = flat_values(cls())  # those of this configuration: one inside it may have defaults of its own
    for name, entries in by_name.items():
        first = entries[0]
        section = first.owners[-1][0] if first.owners else first.section
        title: str = SECTIONS.get(section) or section or "training"
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        kinds = list(dict.fromkeys(entry.owners[-1][1] for entry in entries if entry.owners))
        owners = f" ({', '.join(kinds)})" if kinds else ""
        default = defaults.get(name, first.field.default)
        kinds_of = first.field.metadata.get("kinds")
        if kinds_of:
            read = _kind_reader(first.field, kinds_of)
            options = [*kinds_of, *(["FILE.py:NAME"] if first.field.metadata["coerce"] and name == "cell" else [])]
            metavar = "{" + ",".join(options) + "}"
            _add_flag(groups[title], name, [read], first.field.metadata["help"] + owners, default, metavar)
        else:
            annotations = [entry.field.type for entry in entries]
            metavar = first.field.metadata.get("metavar")
            _add_flag(groups[title], name, annotations, first.field.metadata["help"] + owners, default, metavar)


def _add_flag(group, name, annotations, help, default, metavar):
    read, options = _reader(annotations)
    words = {"dest": name, "default": argparse.SUPPRESS, "help": _help(help, default)}
    flags = [flag_name(name), *SHORT_NAMES.get(name, [])]
    if annotations[0] is bool:
        group.add_argument(*flags, action=argparse.BooleanOptionalAction, **words)
        return
    if options is not None:
        metavar = "{" + ",".join(options) + "}"
    if metavar and len(metavar) > WIDEST_METAVAR:
        words["help"] = _help(f"{help} One of {metavar.strip('{}').replace(',', ', ')}.", default)
        metavar = "NAME"
    if metavar:
        words["metavar"] = metavar
    else:
        words["metavar"] = {int: "N", float: "X"}.get(_plain(annotations[0]), "TEXT")
    if get_origin(annotations[0]) is tuple:
        words |= {"nargs": "*", "metavar": "N"}
    group.add_argument(*flags, type=read, **words)


def _help(help, default):
    """Returns the sentence, and the default where there is one to tell."""
    text = help.replace("%", "%%")
    if default in (None, (), False) or isinstance(default, dataclasses._MISSING_TYPE):
        return text
    return f"{text} [{default}]"


def _reader(annotations: Sequence[Any]) -> tuple[Callable[[str], Any], list[str] | None]:
    """Returns a function from a word to a value, and the words that are allowed (None: any)."""
    literals = [choices(annotation) for annotation in annotations]
    if literals[0] is not None:
        options = list(dict.fromkeys(option for each in literals if each for option in each))
        return _choice_reader(options), options
    annotation = annotations[0]
    if callable(annotation) and not isinstance(annotation, type | types.UnionType | types.GenericAlias):
        if get_origin(annotation) is None:
            return annotation, None
    plain = _plain(annotation)
    number = {int: ("a whole number", int), float: ("a number", float)}.get(plain)
    if number is None:
        return str, None
    return _number_reader(*number, optional=_is_optional(annotation)), None


def _plain(annotation):
    """int of `int`, `int | None` and `tuple[int, ...]`."""
    if get_origin(annotation) in (types.UnionType, Union, tuple):
        return next(part for part in get_args(annotation) if part not in (type(None), Ellipsis))
    return annotation


def _is_optional(annotation):
    return type(None) in get_args(annotation)


def _number_reader(words, convert, optional):
    def read(word):
        if optional and word.lower() == "none":
            return None
        try:
            return convert(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be {words}, got {word!r}") from None

    return read


def _choice_reader(options):
    def read(word):
        if word not in options:
            near = difflib.get_close_matches(word, options, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(options)}, got {word!r}{hint}")
        return word

    return read


def _kind_reader(field, table):
    """Reads the name of a kind, or what else the setting makes a kind of, such as FILE.py:NAME."""
    plain = _choice_reader(list(table))

    def read_own(word):
        if ":" in word:
            return word
        try:
            return plain(word)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}; FILE.py:NAME for a cell of your own") from None

    return read_own if "FILE.py:NAME" in field.metadata["help"] else plain
