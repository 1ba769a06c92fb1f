"""Kinds: alternatives of which a run has one, such as a cell or a schedule, each with settings of its own.

A table of kinds is a literal dict from names to `Kind`. The command line's choices, the construction and the checks
all derive from it.
"""

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lm_jax.config.settings import is_settings
from lm_jax.errors import UserError, did_you_mean


class Kind(NamedTuple):
    """One alternative.

    factory: "module:function", imported when it is used, so that settings need no JAX. config: the frozen dataclass of
    just its own settings, whose `kind` is its name in the table; None for a kind without settings.
    """

    factory: str
    config: type | None = None

    def make(self) -> Callable[..., Any]:
        """Imports the factory."""
        module, _, name = self.factory.partition(":")
        return getattr(importlib.import_module(module), name)

    def defaults(self, name: str) -> Any:
        """Returns the default settings of this kind, whose name in the table is given."""
        return NoSettings(name) if self.config is None else self.config()


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """Settings of a kind that has none but its name."""

    kind: str


def choose(role: str, value: Any, table: Mapping[str, Kind]) -> Any:
    """Returns the settings of a kind: the value itself, or the defaults of the kind that a string names.

    Raises UserError for a name that is not in the table, and for a value that is no kind's settings.

    Args:
        role: The setting that has the kind, for the message.
        value: The name of a kind, or its settings.
        table: The kinds by name.
    """
    if isinstance(value, str) and value in table:
        return table[value].defaults(value)
    kind = table.get(getattr(value, "kind", ""))
    if kind is None or type(value) is not (kind.config or NoSettings):
        meant = did_you_mean(value, table) if isinstance(value, str) else ""
        raise UserError(f"{role} must be one of {', '.join(table)}, got {value!r}{meant}", [role])
    return value


def choice_of(
    table: Mapping[str, Kind],
    default: str,
    help: str,
    *,
    flag: str | None = None,
    coerce: Callable[[Any], Any] | None = None,
    own: str | None = None,
    group: str | None = None,
    common: bool = False,
) -> Any:
    """Declares a setting that is one of several kinds.

    Args:
        table: the kinds by name.
        default: the name of the default kind.
        help: one sentence for the command line.
        flag: the name in flat forms, if it is not the field's.
        coerce: makes settings of what a user gives; default: `choose`.
        own: how a kind of a user's own is written, such as FILE.py:NAME; None where there can be none.
        group: as of a `setting`.
        common: as of a `setting`.
    """
    metadata = {"help": help, "flag": flag, "kinds": table, "coerce": coerce, "own": own}
    metadata |= {"group": group, "common": common}
    return dataclasses.field(default=table[default].defaults(default), metadata=metadata)


def _check_part(field, value):
    """Checks that settings with several settings inside are such: a text is not yet the `DataConfig` of a text."""
    part: Any = field.type
    if not dataclasses.is_dataclass(field.type) or isinstance(value, part):
        return
    name = part.__name__
    first = dataclasses.fields(part)[0].name
    example = f"{name}({first}={value!r})" if isinstance(value, str) else f"{name}(...)"
    got = type(value).__name__ if is_settings(value) else repr(value)
    raise UserError(f"{field.name} must be of type {name}, got {got}; give {example}", [field.name])


def coerce_kinds(config: Any) -> None:
    """Puts settings in the place of the names of kinds; for `__post_init__` of a frozen dataclass.

    Raises UserError for what is no kind, and for a part that is not of its dataclass.
    """
    for field in dataclasses.fields(config):
        _check_part(field, getattr(config, field.name))
        table = field.metadata.get("kinds")
        if table is not None:
            make, value = field.metadata["coerce"], getattr(config, field.name)
            chosen = choose(field.metadata["flag"] or field.name, value, table) if make is None else make(value)
            object.__setattr__(config, field.name, chosen)
