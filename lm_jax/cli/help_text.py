"""The form of a verb's help: its usage, its columns, and the examples at its end."""

import argparse
import dataclasses
import textwrap
from typing import Any

from lm_jax.cli.examples import EXAMPLES


FLAG_COLUMNS = 30  # of a help text for flags; a longer flag has a line of its own
PLACES = {"+": "{} ...", "*": "[{} ...]", "?": "[{}]", None: "{}"}


class VerbHelp(argparse.HelpFormatter):
    """A formatter that names a value once for all names of a flag, and keeps the lines of the examples."""

    def __init__(self, prog: str, **options: Any):
        super().__init__(prog, max_help_position=FLAG_COLUMNS, **options)

    def _format_action_invocation(self, action):
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = "" if isinstance(action, argparse.BooleanOptionalAction) else f" {self._value(action)}"
        return ", ".join(action.option_strings) + value

    def _value(self, action):
        return f"{action.metavar} ..." if action.nargs == "*" else action.metavar

    def _split_lines(self, text, width):
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text, width, indent):
        if "\n" not in text:
            return super()._fill_text(text, width, indent)
        return text


def usage(cls: Any, verb: str) -> str:
    """Writes the words of a verb: its positionals; all its flags would fill the screen before its help begins."""
    fields = [field for field in dataclasses.fields(cls) if field.metadata.get("positional")]
    words = [PLACES[field.metadata["nargs"]].format(field.metadata["metavar"]) for field in fields]
    return " ".join(["lm-jax", verb, *words, "[settings]"])


def epilog(verb: str, hidden: int, settings: int) -> str:
    """Writes the examples, and how to see the settings that are hidden.

    Args:
        verb: The words of the verb, such as "ngram train".
        hidden: The number of settings that the help does not show.
        settings: The number of all settings.
    """
    lines = ["examples:", *(f"  {example}" for example in EXAMPLES[verb])]
    if hidden:
        lines += ["", f"lm-jax {verb} --help-all shows all {settings} settings"]
    return "\n".join(lines)
