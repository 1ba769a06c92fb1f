"""The words of a command line, parsed once; mistakes are reported in one line."""

import argparse
import dataclasses
from typing import Any, NoReturn, TypeVar

from lm_jax.cli.flags import add_flags, add_positionals, config_flags, own_flags
from lm_jax.cli.help_text import VerbHelp, epilog, usage
from lm_jax.cli.run_folders import check_run, known_runs
from lm_jax.errors import UserError, did_you_mean


Arguments = TypeVar("Arguments")
HELP = ("-h", "--help", "--help-all")


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, raised as UserError."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError with the parser's message, and the flag that was meant."""
        text = message.removeprefix("argument ")
        flag, _, rest = text.partition(": ")
        if flag.startswith("-") and rest.startswith("must be"):
            text = f"{flag.split('/')[0]} {rest}"
        runs = known_runs() if message.endswith("required: RUN") else ""
        raise UserError(f"{text}{self._meant(message)}{runs} (see {self.prog} --help)")

    def _meant(self, message):
        if not message.startswith("unrecognized arguments"):
            return ""
        flags = [flag for action in self._actions for flag in action.option_strings]
        words = message.partition(": ")[2].split()
        if "--prompt" in flags and not words[0].startswith("-"):
            return "; a prompt is given as --prompt TEXT"
        hints = (did_you_mean(word.partition("=")[0], flags) for word in words if word.startswith("-"))
        return next(filter(None, hints), "")


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
    parser = build_parser(cls, config, verb, full="--help-all" in argv)
    given = vars(parser.parse_intermixed_args([_with_dashes(word) for word in argv]))
    own = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    _check_runs(parser, given)
    arguments = {name: given.pop(name) for name in list(given) if name in own}
    return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in arguments.items()}), given


def build_parser(cls: Any, config: type | None, verb: str, full: bool = True) -> OneLineParser:
    """Makes the parser of a verb. A verb without a configuration has so few settings that its help is always full.

    Args:
        cls: The dataclass of the verb's own arguments.
        config: The dataclass of its settings; None for none.
        verb: The words of the verb, such as "ngram train".
        full: The help has all settings; without, those that people change.
    """
    flags = own_flags(cls, "options" if config is None else "run")
    if config is not None:
        flags += config_flags(config)
    shown = [flag for flag in flags if full or config is None or flag.common]
    parser = OneLineParser(
        prog=f"lm-jax {verb}",
        usage=usage(cls, verb),
        description=(cls.__doc__ or "").strip(),
        epilog=epilog(verb, len(flags) - len(shown), len(flags)),
        allow_abbrev=False,
        add_help=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=VerbHelp,
    )
    add_positionals(parser, cls)
    parser.add_argument(*HELP, action="help", help=argparse.SUPPRESS)
    add_flags(parser, flags, full or config is None)
    return parser


def _check_runs(parser, given):
    """Raises UserError for a run that is not there, before anything is loaded."""
    for action in parser._actions:
        if action.metavar == "RUN" and action.dest in given:
            value = given[action.dest]
            for run in value if isinstance(value, list) else [value]:
                check_run(run)


def _with_dashes(word):
    """Returns a flag with the words of its name joined by dashes, where somebody joined them as Python does."""
    if not word.startswith("--"):
        return word
    flag, equals, value = word.partition("=")
    return flag.replace("_", "-") + equals + value
