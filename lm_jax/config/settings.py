"""Settings: a field of a frozen dataclass with its default, its help, its rule and its name on the command line."""

import dataclasses
import math
import numbers
import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, Literal, Union, cast, get_args, get_origin

from lm_jax.errors import UserError, check_rate, check_rising, check_sizes, did_you_mean


Rule = Callable[[str, Any], None]  # (name, value) -> raises UserError; None is always allowed where it is a choice
BY_TEXT = "by text"  # a default that level and size of the text choose


def setting(
    default: Any,
    help: str,
    *,
    rule: Rule | None = None,
    flag: str | None = None,
    metavar: str | None = None,
    group: str | None = None,
    common: bool = False,
    unset: str | None = None,
) -> Any:
    """Declares a setting of a frozen dataclass.

    Args:
        default: the value where none is given.
        help: a phrase for the command line whose subject is the thing; its first sentence stands alone.
        rule: raises UserError for a value outside its range.
        flag: the name in flat forms (the command line, a file of flat settings), if it is not the field's.
        metavar: what stands for a value in the help.
        group: the title that the help puts it under, if not that of its dataclass.
        common: whether the short help shows it, as one that people change.
        unset: what stands for a default of None in the help.
    """
    metadata = {"help": help, "rule": rule, "flag": flag, "metavar": metavar, "group": group, "common": common}
    metadata["unset"] = unset
    return dataclasses.field(default=default, metadata=metadata)


def flat_name(field: dataclasses.Field) -> str:
    """Returns the name of a setting in flat forms."""
    return field.metadata.get("flag") or field.name


def is_settings(value: Any) -> bool:
    """Says whether a value is an instance of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def leaves(config: Any) -> Iterator[tuple[dataclasses.Field, Any]]:
    """Yields the settings of a dataclass and of those inside it, with their values."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if is_settings(value):
            yield from leaves(value)
        elif "help" in field.metadata:
            yield field, value


def check(config: Any) -> None:
    """Raises UserError for the first setting of a dataclass, or of one inside it, that is outside its range."""
    for field, value in leaves(config):
        name, rule = flat_name(field), field.metadata.get("rule")
        if rule is not None and value is not None:
            try:
                rule(name, value)
            except TypeError:
                _check_type(name, field.type, value)
                raise
        _check_type(name, field.type, value)


def choices(annotation: Any) -> tuple[Any, ...] | None:
    """Returns the options of a Literal, or of a Literal or None; None for other types."""
    parts = get_args(annotation) if get_origin(annotation) in (types.UnionType, Union) else (annotation,)
    return get_args(parts[0]) if get_origin(parts[0]) is Literal else None


TYPES: dict[Any, tuple[str, Any]] = {
    bool: ("true or false", bool),
    int: ("a whole number", numbers.Integral),
    float: ("a number", numbers.Real),
    str: ("a string", str | os.PathLike),
    tuple: ("a list", tuple),
}


def _check_type(name, annotation, value):
    """A file or a script may get wrong what the command line cannot: a choice, or the type of a value."""
    optional = get_origin(annotation) in (types.UnionType, Union)
    parts = get_args(annotation) if optional else (annotation,)
    if value is None and type(None) in parts:
        return
    options = choices(parts[0])
    if options is not None:
        if value not in options:
            meant = did_you_mean(str(value), options)
            raise UserError(f"{name} must be one of {', '.join(options)}, got {value!r}{meant}", [name])
        return
    words, wanted = TYPES.get(get_origin(parts[0]) or parts[0], ("", object))
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted not in (bool, object)):
        raise UserError(f"{name} must be {words}, got {value!r:.60}", [name])
    if wanted is numbers.Real and isinstance(value, int) and abs(value) > sys.float_info.max:
        raise UserError(f"{name} must be a number that a float can hold, got one of {value.bit_length()} bits", [name])


class DependentSettings:
    """Settings of a dataclass that nothing reads unless others have some value; a base for configurations."""

    def idle(self) -> dict[str, str]:
        """Returns the settings that nothing reads beside the others, with what they need, which begins with a name."""
        return {}

    def check(self) -> None:
        """Raises UserError for a setting that is not at its default and that nothing reads."""
        defaults = {field.name: field.default for field in dataclasses.fields(cast(Any, self))}
        for name in self.idle():
            if getattr(self, name) != defaults[name]:
                raise self.idle_error(name)

    def idle_error(self, name: str) -> UserError:
        """Makes the error for a setting that nothing reads."""
        needed, value = self.idle()[name], getattr(self, name)
        given = "it" if isinstance(value, bool) else value
        return UserError(f"{name} needs {needed}, got {given} without", (name, needed.split()[0]))


def count(name: str, value: Any) -> None:
    """Allows whole numbers of at least 1."""
    check_sizes(**{name: value})


def rate(name: str, value: Any) -> None:
    """Allows a share below 1, in [0, 1)."""
    check_rate(name, value)


def rising(name: str, value: Any) -> None:
    """Allows whole numbers that rise."""
    check_rising(name, value)


def number(words: str, holds: Callable[[Any], bool]) -> Rule:
    """Makes a rule from its words and a test, which must be False for NaN."""

    def rule(name, value):
        try:
            held = holds(value)
        except OverflowError:  # a whole number that no float can hold
            held = False
        if not held:
            raise UserError(f"{name} must be {words}, got {value!r}", [name])

    return rule


positive = number("positive and finite", lambda x: 0 < x < math.inf)
not_negative = number("finite and not negative", lambda x: 0 <= x < math.inf)
share = number("between 0 and 1", lambda x: 0 <= x <= 1)
finite = number("finite", math.isfinite)
inner_share = number("between 0 and 1, both excluded", lambda x: 0 < x < 1)
seed = number(f"a whole number from 0 to {2**31 - 1}", lambda x: 0 <= x < 2**31)
