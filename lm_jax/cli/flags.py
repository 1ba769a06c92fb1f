"""The flags of a parser, made from the settings of dataclasses.

A flag is not given by default, so that what a user types can be distinguished from defaults.
"""

import argparse
import dataclasses
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, get_origin

from lm_jax.cli.readers import Reading, kind_reader, plain_type, reader_of
from lm_jax.config.flat import ALIASES, FlatSetting, flat_settings, flat_values
from lm_jax.config.settings import choices


WIDEST_METAVAR = 48  # columns; longer choices are listed in the help
MOST_LISTED = 8  # choices in the short help
SHORT_NAMES = {name: [f"--{short}"] for short, name in ALIASES.items()}
# titles of groups in the order of the help; a setting without a group of its own is in that of its dataclass
GROUPS = {name: name for name in ("options", "run", "text", "model", "training", "regularisation", "search")}
GROUPS |= {"reports": "reports, validations, checkpoints", "devices": "memory, devices, machines"}
SECTIONS = {"data": "text", "model": "model"}
SETTING = re.compile(r"(?<![\w(])[a-z]+(?:_[a-z]+)+\b")  # another setting in a description; not in a formula
Parser = argparse.ArgumentParser


class Flag(NamedTuple):
    """A flag before it is added to a parser.

    group: the name of its group. common: whether the short help has it. help: sentences; the first stands alone.
    default: a word on it. words: further arguments of `add_argument`. needs: a word on the choices it goes with.
    choices: the words that it takes; none where any word may follow.
    """

    name: str
    group: str
    common: bool
    help: str
    default: str
    words: dict[str, Any]
    needs: str = ""
    choices: tuple[str, ...] = ()


def positional(help: str, metavar: str, *, several: bool = False, optional: bool = False, shown: bool = True) -> Any:
    """Declares an argument without a flag.

    Args:
        help: Its description.
        metavar: What it is called in the usage.
        several: One or more words.
        optional: One word or none; None then. With several any number of words; () for none.
        shown: Whether the help describes it, besides its usage.
    """
    nargs = ("*" if optional else "+") if several else "?" if optional else None
    metadata = {"help": help if shown else argparse.SUPPRESS, "metavar": metavar, "nargs": nargs, "positional": True}
    default: Any = (() if several else None) if optional else dataclasses.MISSING
    return dataclasses.field(default=default, metadata=metadata)


def flag_name(name: str) -> str:
    """Returns the flag of a setting; of a name such as `from_`, which is no word of Python, without the last sign."""
    return f"--{name.rstrip('_').replace('_', '-')}"


def add_positionals(parser: Parser, cls: type) -> None:
    """Adds the arguments without a flag of a verb's own dataclass."""
    group = parser.add_argument_group("arguments")
    for field in dataclasses.fields(cls):
        words: dict[str, Any] = {name: field.metadata.get(name) for name in ("metavar", "help", "nargs")}
        if field.metadata.get("positional"):
            group.add_argument(field.name, **words)


def own_flags(cls: type, group: str) -> list[Flag]:
    """Makes the flags of a verb's own dataclass; group: of those that name no other."""
    flags = []
    for field in dataclasses.fields(cls):
        metadata = field.metadata
        if "help" in metadata and not metadata.get("positional"):
            read, options = reader_of([field.type], {})
            flags.append(_flag(field.name, field, (read, options), group, field.default))
    return flags


def config_flags(cls: type) -> list[Flag]:
    """Makes a flag for every setting of a configuration and of all kinds that it could have."""
    by_name: dict[str, list[FlatSetting]] = {}
    for entry in flat_settings(cls):
        by_name.setdefault(entry.name, []).append(entry)
    defaults = flat_values(cls())  # those of this configuration: one inside it may have defaults of its own
    elsewhere = _choices_of_all(by_name)
    tables = {name: entries[0].field.metadata.get("kinds", {}) for name, entries in by_name.items()}
    flags: dict[str, Flag] = {}
    for name, entries in by_name.items():
        first = entries[0]
        # what owns a setting comes before it
        group = flags[first.owners[0][0]].group if first.owners else SECTIONS.get(first.section, "training")
        reading = _config_reader(entries, elsewhere)
        default = defaults.get(name, first.field.default)
        flag = _flag(name, first.field, reading, group, default)
        flag = flag._replace(default=_with_others(flag.default, default, entries))
        flags[name] = flag._replace(needs=_needed({entry.owners for entry in entries}, tables))
    return list(flags.values())


def _config_reader(entries, elsewhere):
    metadata = entries[0].field.metadata
    table, own = metadata.get("kinds"), metadata.get("own")
    if table:
        return kind_reader(table, own, elsewhere), [*table, *([own] if own else [])]
    return reader_of([entry.field.type for entry in entries], elsewhere)


def _choices_of_all(by_name):
    """Every word that is one of a setting's choices, with the flag of the first that has it."""
    found: dict[str, str] = {}
    for name, entries in by_name.items():
        for entry in entries:
            for option in (*entry.field.metadata.get("kinds", ()), *(choices(entry.field.type) or ())):
                found.setdefault(option, flag_name(name))
    return found


def _needed(paths, tables):
    """Says which choices a setting goes with: nothing, where it goes with all.

    paths: the choices from the outside in, each a role and a kind; all kinds of a role are as good as no choice.
    """
    for path in sorted(paths, key=len, reverse=True):
        siblings = {(*path[:-1], (path[-1][0], kind)) for kind in tables[path[-1][0]]} if path else set()
        if siblings and siblings <= paths:
            return _needed(paths - siblings | {path[:-1]}, tables)
    kinds: dict[str, list[str]] = {}
    for path in sorted(paths):
        for role, kind in path[-1:]:
            kinds.setdefault(role, []).append(kind)
    parts = [f"{flag_name(role)} {', '.join(names)}" for role, names in kinds.items()]
    return f" (with {'; '.join(parts)})" if parts else ""


def add_flags(parser: Parser, flags: list[Flag], full: bool) -> None:
    """Adds flags in groups.

    Args:
        parser: The parser of a verb.
        flags: The flags.
        full: The help shows all of them, sorted by name; without, the common ones as they come.
    """
    by_group = {name: parser.add_argument_group(title) for name, title in GROUPS.items()}
    settings = {flag.name for flag in flags}
    for flag in sorted(flags, key=lambda flag: flag.name) if full else flags:
        first = flag.help.partition(". ")[0].removesuffix(".") + "."
        help = f"{flag.help}{flag.needs}{flag.default}" if full else f"{first}{flag.default}"
        help = SETTING.sub(lambda found: flag_name(found[0]) if found[0] in settings else found[0], help)
        shown = help.replace("%", "%%") if full or flag.common else argparse.SUPPRESS
        names = [flag_name(flag.name), *SHORT_NAMES.get(flag.name, [])]
        by_group[flag.group].add_argument(*names, dest=flag.name, default=argparse.SUPPRESS, help=shown, **flag.words)


def _flag(name: str, field: dataclasses.Field, reading: Reading, group: str, default: Any) -> Flag:
    """Makes a flag of a setting. group: of a setting that names no other."""
    shown = _default(default, field.metadata.get("unset"))
    help, common, group = field.metadata["help"], field.metadata["common"], field.metadata["group"] or group
    if field.type in (bool, bool | None):
        return Flag(name, group, common, help, shown, {"action": argparse.BooleanOptionalAction})
    read, options = reading
    metavar = field.metadata.get("metavar") or {int: "N", float: "X"}.get(plain_type(field.type), "TEXT")
    if options is not None:
        metavar = "{" + ",".join(options) + "}"
    if len(metavar) > WIDEST_METAVAR:
        metavar, help = "NAME", f"{help.removesuffix('.')}: {_listed(options or ())}"
    words: dict[str, Any] = {"type": read, "metavar": metavar}
    if get_origin(field.type) is tuple:
        words["nargs"] = "*"
    return Flag(name, group, common, help, shown, words, choices=tuple(options or ()))


def _listed(options: Sequence[str]) -> str:
    """Lists choices; of many the first ones, and the others in a sentence of their own, which the short help leaves
    out."""
    if len(options) <= MOST_LISTED:
        return f"{', '.join(options)}."
    first, others = options[:3], options[3:]
    return f"{', '.join(first)}, {len(others)} more. The others: {', '.join(others)}."


def _default(default: Any, unset: str | None = None) -> str:
    """Writes a default, where there is one to tell. unset: the words for None."""
    if default is None and unset is not None:
        return f" [{unset}]"
    empty = default is None or default is False or default in ((), "") or isinstance(default, dataclasses._MISSING_TYPE)
    return "" if empty else f" [{default:g}]" if isinstance(default, float) else f" [{default}]"


def _with_others(shown: str, default: Any, entries: Sequence[FlatSetting]) -> str:
    """Adds to the default of the first kind the defaults of kinds that have another: " [256; attention 128]"."""
    others = [entry for entry in entries if entry.owners and entry.field.default not in (default, None)]
    words = [f"{entry.owners[-1][1]} {_default(entry.field.default).strip(' []')}" for entry in others]
    return f"{shown.removesuffix(']')}; {'; '.join(words)}]" if shown and words and others != list(entries) else shown
