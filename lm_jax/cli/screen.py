"""Where the output goes, and what may be written there: a terminal, a notebook, a pipe or a file.

A terminal has its width, colours and a bar that moves. A notebook keeps every line that is printed into it: 80 columns,
no colours, no bar, whether it calls itself a terminal or not. A pipe or a file has neither width nor colours.
NO_COLOR takes colours away, FORCE_COLOR gives a pipe colours (https://no-color.org, https://force-color.org); a
notebook sets FORCE_COLOR by itself, so there it tells nothing. COLUMNS is the width everywhere.
"""

import os
import re
import sys
from typing import Any, NamedTuple, TextIO

from lm_jax.report.visible_text import visible


NOTEBOOK = "JPY_PARENT_PID"  # in the environment of a Jupyter kernel and of all that it starts
NOTEBOOK_WIDTH = 80
UNLIMITED = 100_000  # columns of a pipe
INDENT = re.compile(r" *(?:\| )?")  # of a line, and of a line of a sample


class Screen(NamedTuple):
    """What an output can show. moving: whether a line may be written over. width: in columns."""

    moving: bool
    colour: bool
    width: int


def screen_of(stream: TextIO) -> Screen:
    """Finds out what an output can show."""
    notebook = NOTEBOOK in os.environ
    terminal = stream.isatty()
    moving = terminal and not notebook and os.environ.get("TERM") != "dumb"
    forced = os.environ.get("FORCE_COLOR", "") not in ("", "0") and not notebook
    colour = not os.environ.get("NO_COLOR") and (moving or forced)
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return Screen(moving, colour, int(columns))
    if notebook:
        return Screen(moving, colour, NOTEBOOK_WIDTH)
    return Screen(moving, colour, os.get_terminal_size(stream.fileno()).columns or 80 if terminal else UNLIMITED)


def make_console(file: Any = None, wide: bool = False) -> Any:
    """Makes a rich console of standard output, which prints texts as they are: no markup, no emoji, no highlights.

    Args:
        file: what to write to in the place of standard output.
        wide: without a limit of width.
    """
    from rich.console import Console

    screen = screen_of(sys.stdout)
    return Console(
        file=file,
        force_terminal=screen.moving,
        force_jupyter=False,
        color_system=("auto" if screen.moving else "standard") if screen.colour else None,
        no_color=not screen.colour,
        width=UNLIMITED if wide else screen.width,
        highlight=False,
        markup=False,
        emoji=False,
    )


def print_line(console: Any, text: str, style: str | None = None) -> None:
    """Prints a text, its words on as many lines as it needs; a word that is longer than a line is not cut.

    Args:
        console: Where to print.
        text: The text.
        style: A style of rich's; None for none.
    """
    from rich.text import Text

    lines = [part for line in visible(text).split("\n") for part in _fitted(line, console.width)]
    console.print(Text("\n".join(lines), style=style or ""), soft_wrap=True)


def _fitted(line, width):
    """A line as lines of at most so many columns, if no word is longer; those after it are indented as it is."""
    from rich.cells import cell_len

    indent = INDENT.findall(line)[0]
    current, *words = line.removeprefix(indent).split(" ")
    current = indent + current
    for word in words:
        longer = f"{current} {word}"
        if cell_len(longer) > width:
            yield current
            longer = indent + word
        current = longer
    yield current


def print_unbroken(console: Any, text: str, style: str | None = None) -> None:
    """Prints a text with no line ends but its own: a command, which is copied, or a text of the user's.

    Args:
        console: Where to print.
        text: The text.
        style: A style of rich's; None for none.
    """
    from rich.text import Text

    console.print(Text(visible(text), style=style or ""), soft_wrap=True)


def shown(text: str) -> str:
    """Returns a text for standard output: without control codes for a terminal, as it is for a pipe or a file."""
    return visible(text) if sys.stdout.isatty() else text


def say(text: str, end: str = "\n") -> None:
    """Prints a text of the user's or of a model to standard output at once."""
    print(shown(text), end=end, flush=True)
