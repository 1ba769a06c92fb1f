"""Settings: a field of a frozen dataclass with its default, its help, its rule and its name on the command line."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast, get_args, get_origin

from lm_jax.errors import UserError, check_rate, check_rising, check_sizes


Rule = Callable[[str, Any], None]  # (name, value) -> raises UserError; None is always allowed where it is a choice


def setting(
    default: Any,
    help: str,
    *,
    rule: Rule | None = None,
    flag: str | None = None,
    metavar: str | None = None,
    group: str | None = None,
    common: bool = False,
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
    """
    metadata = {"help": help, "rule": rule, "flag": flag, "metavar": metavar, "group": group, "common": common}
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
        _check_choice(name, field.type, value)
        if rule is None or value is None:
            continue
        try:
            rule(name, value)
        except TypeError as error:
            raise UserError(f"{name} must be a number, got {value!r}", [name]) from error


def choices(annotation: Any) -> tuple[Any, ...] | None:
    """Returns the options of a Literal; None for other types."""
    return get_args(annotation) if get_origin(annotation) is Literal else None


def _check_choice(name, annotation, value):
    """A file or a script may get wrong what the command line cannot: a choice, or true and false."""
    options = choices(annotation)
    if options is not None and value not in options:
        raise UserError(f"{name} must be one of {', '.join(options)}, got {value!r}", [name])
    if annotation is bool and not isinstance(value, bool):
        raise UserError(f"{name} must be true or false, got {value!r}", [name])


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
        if not holds(value):
            raise UserError(f"{name} must be {words}, got {value!r}", [name])

    return rule


positive = number("positive and finite", lambda x: 0 < x < math.inf)
not_negative = number("finite and not negative", lambda x: 0 <= x < math.inf)
share = number("between 0 and 1", lambda x: 0 <= x <= 1)
finite = number("finite", math.isfinite)
inner_share = number("between 0 and 1, both excluded", lambda x: 0 < x < 1)
seed = number(f"a whole number from 0 to {2**31 - 1}", lambda x: 0 <= x < 2**31)
