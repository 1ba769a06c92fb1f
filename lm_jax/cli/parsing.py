"""Flags from dataclasses (tyro), with mistakes told in one line."""

import contextlib
import io
import re
import sys
from typing import TypeVar

from lm_jax.errors import UserError


Config = TypeVar("Config")
SHORT_NAMES = {"--lr": "--learning-rate"}


def parse(config: type[Config], verb: str, argv: list[str], default: Config | None = None) -> Config:
    """The dataclass that the words of a command line describe; nested dataclasses have no prefixes.

    Raises UserError for words that do not fit; prints help and exits for --help.
    """
    import tyro

    words = [SHORT_NAMES.get(word, word) for word in argv]
    options = {} if default is None else {"default": default}
    captured = io.StringIO()
    try:
        with contextlib.nullcontext() if _asks_help(words) else contextlib.redirect_stderr(captured):
            return tyro.cli(config, prog=f"lm-jax {verb}", args=words, config=(tyro.conf.OmitArgPrefixes,), **options)
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
        raise UserError(_in_one_line(captured.getvalue(), verb)) from None


def _asks_help(words):
    return "-h" in words or "--help" in words


def _in_one_line(message, verb):
    """The text of tyro's box of errors, without the box, its title and its excerpts of the help."""
    lines = [line for line in message.splitlines() if not line.startswith("╭")]
    text = " ".join(re.sub(r"^[│╰─\s]+|[│╯─\s]+$", "", line) for line in lines)
    text = re.split(r"Argument helptext|Perhaps you meant|Similar arguments|For full helptext", text)
    near = re.search(r"--[\w-]+", text[1]) if re.search("Perhaps you meant|Similar", message) else None
    return f"{text[0].strip()}{f'; did you mean {near[0]}?' if near else ''} (see lm-jax {verb} --help)"


def is_terminal() -> bool:
    """Whether a person is looking at the output."""
    return sys.stdout.isatty()
