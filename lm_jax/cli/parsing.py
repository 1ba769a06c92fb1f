"""The words of a command line, parsed once; mistakes are reported in one line."""

import argparse
import dataclasses
import difflib
import sys
from typing import Any, NoReturn, TypeVar

from lm_jax.cli.flags import add_arguments, add_config
from lm_jax.errors import UserError


Arguments = TypeVar("Arguments")
WIDEST_FLAG = 26  # columns of a help text for flags


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, raised as UserError."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError with the parser's message, and the flag that was meant."""
        text = message.removeprefix("argument ")
        flag, _, rest = text.partition(": ")
        if flag.startswith("-") and rest.startswith("must be"):
            text = f"{flag.split('/')[0]} {rest}"
        raise UserError(f"{text}{self._meant(message)} (see {self.prog} --help)")

    def _meant(self, message):
        if not message.startswith("unrecognized arguments"):
            return ""
        flags = [flag for action in self._actions for flag in action.option_strings]
        for word in message.split():
            near = difflib.get_close_matches(word.partition("=")[0], flags, n=1) if word.startswith("-") else []
            if near:
                return f"; did you mean {near[0]}?"
        return ""


def parse(cls: type[Arguments], verb: str, argv: list[str]) -> Arguments:
    """Parses a command line into the dataclass of a verb.

    Raises UserError for words that do not fit; prints help and exits for --help.
    """
    arguments, _ = parse_with_config(cls, None, verb, argv)
    return arguments


def parse_with_config(
    cls: type[Arguments], config: type | None, verb: str, argv: list[str]
) -> tuple[Arguments, dict[str, Any]]:
    """Parses a command line into the dataclass of a verb, and the settings of a configuration by their flat names.

    Args:
        cls: the verb's own arguments; its docstring is the help's first line.
        config: the configuration; None without one.
        verb: words of the verb.
        argv: the words after the verb.

    Returns:
        The arguments, and the settings that were given: from_flat makes a configuration of them.

    Raises:
        UserError: for words that do not fit.
    """
    parser = OneLineParser(
        prog=f"lm-jax {verb}",
        usage=_usage(cls, verb),
        description=(cls.__doc__ or "").strip(),
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=_formatter,
    )
    add_arguments(parser, cls)
    if config is not None:
        add_config(parser, config)
    given = vars(parser.parse_args([_with_dashes(word) for word in argv]))
    own = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    arguments = {name: given.pop(name) for name in list(given) if name in own}
    return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in arguments.items()}), given


def _usage(cls, verb):
    """The positionals; all flags of a verb would fill the screen before its help begins."""
    words = [
        {"+": "{} ...", "?": "[{}]", None: "{}"}[field.metadata["nargs"]].format(field.metadata["metavar"])
        for field in dataclasses.fields(cls)
        if field.metadata.get("positional")
    ]
    return " ".join(["lm-jax", verb, *words, "[settings]"])


def _formatter(prog):
    return argparse.HelpFormatter(prog, max_help_position=WIDEST_FLAG)


def _with_dashes(word):
    """Returns a flag with the words of its name joined by dashes, where somebody joined them as Python does."""
    if not word.startswith("--"):
        return word
    flag, equals, value = word.partition("=")
    return flag.replace("_", "-") + equals + value


def is_terminal() -> bool:
    """Says whether a person is looking at the output."""
    return sys.stdout.isatty()
