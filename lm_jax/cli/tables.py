"""Tables for people, fitted to a terminal by leaving out columns, never by cutting numbers; and in Markdown."""

from typing import Any

from lm_jax.cli.screen import print_line
from lm_jax.report.table import Table
from lm_jax.report.visible_text import one_line


NARROWEST = 8  # columns that are left for words, where even the necessary ones are too wide
GAPS = (2, 1)  # between columns, the wider one if there is room


def print_table(console: Any, table: Table | None, hint: str = "") -> None:
    """Prints a table of texts, and which columns there was no room for.

    Args:
        console: Where to print.
        table: The table; None prints nothing.
        hint: How to see the columns without room.
    """
    from rich.text import Text

    if table is None:
        return
    fitted = fit(table, console.width)
    for number, line in enumerate(draw(fitted, console.width)):
        console.print(Text(line, style="" if number else "bold"), soft_wrap=True)
    missing = [title for title in table.titles if title not in fitted.titles]
    if missing:
        print_line(console, f"no room for: {', '.join(missing)}{hint}", "dim")


def fit(table: Table, width: int) -> Table:
    """Leaves out columns, in the order in which they may go, until the others have room."""
    left_out: set[str] = set()
    for title in table.drop:
        if needed(table.without(left_out), GAPS[-1]) <= width:
            break
        left_out.add(title)
    return table.without(left_out)


def needed(table: Table, gap: int) -> int:
    """Returns how many columns of the terminal a table has."""
    return sum(_widths(table)) + gap * (len(table.titles) - 1)


def _widths(table):
    from rich.cells import cell_len

    lines = [table.titles, *table.rows]
    return [max(cell_len(one_line(line[place])) for line in lines) for place in range(len(table.titles))]


def draw(table: Table, width: int) -> list[str]:
    """Draws a table as lines. In a table that is too wide, words wrap; numbers stay whole."""
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    # only columns that may be wrapped give way, and there is room for all others
    gap = next((gap for gap in GAPS if needed(table, gap) <= width), GAPS[-1])
    drawn = RichTable(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    least = gap * (len(table.titles) - 1)
    for place, (title, size) in enumerate(zip(table.titles, _widths(table), strict=True)):
        words = table.is_words(place)
        least += min(size, NARROWEST) if words else size
        drawn.add_column(Text(title), no_wrap=not words, overflow="fold", justify="left" if words else "right")
    for number, row in enumerate(table.rows):
        drawn.add_row(*(Text(one_line(cell)) for cell in row), end_section=number in table.sections)
    plain = Console(width=max(width, least), color_system=None, force_terminal=False, force_jupyter=False)
    with plain.capture() as captured:
        plain.print(drawn)
    return [line.rstrip() for line in captured.get().removesuffix("\n").split("\n")]


def markdown(table: Table) -> str:
    """Writes a table in Markdown, with all its columns."""
    marks = [":--" if table.is_words(place) else "--:" for place in range(len(table.titles))]
    lines = [table.titles, marks, *table.rows]
    return "\n".join(f"| {' | '.join(one_line(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
