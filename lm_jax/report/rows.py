"""Lists of records that show themselves as a table: a few lines in a terminal, HTML in a notebook."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from lm_jax.report.html import fragment, table_html
from lm_jax.report.table import Table
from lm_jax.report.visible_text import one_line


Record = TypeVar("Record")
SHOWN = 6  # rows of a representation
WIDTH = 88  # characters of a line
CELL = 40  # of a text in it


class Rows(list[Record]):
    """A list of records of one type, with a table to look at.

    Args:
        records: NamedTuples.
        make_table: makes the table of them; default: a column for each field.
    """

    def __init__(self, records: Iterable[Record] = (), make_table: Callable[[Sequence[Any]], Table] | None = None):
        super().__init__(records)
        self._make_table = make_table or fields_table

    def table(self) -> Table | None:
        """Returns the table of all rows; None where there are none."""
        return self._make_table(self) if self else None

    def __repr__(self) -> str:
        table = self.table()
        if table is None:
            return "[]"
        more = len(self) - SHOWN
        rest = [f"... {more:,} more"] if more > 0 else []
        return "\n".join([*plain_lines(table._replace(rows=table.rows[:SHOWN])), *rest])

    def _repr_html_(self) -> str:
        if not self:
            return "<p>[]</p>"
        return fragment(f"{len(self):,} row{'s' * (len(self) != 1)}", table_html(self.table()))


def fields_table(records: Sequence[Any]) -> Table:
    """Returns a column for each field of NamedTuples, those of texts first."""
    names = records[0]._fields
    words = [name for name in names if isinstance(getattr(records[0], name), str)]
    titles = (*words, *(name for name in names if name not in words))
    rows = tuple(tuple(_cell(getattr(record, name)) for name in titles) for record in records)
    return Table(tuple(title.replace("_", " ") for title in titles), rows, words=len(words))


def _cell(value):
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple | dict) and len(value) > 4:
        return f"{len(value)} items"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return "-" if value is None else str(value)


def plain_lines(table: Table) -> list[str]:
    """Draws a table as lines of text, without the columns that have no room."""
    cut = [tuple(_fitted(cell) for cell in row) for row in (table.titles, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    places = [place for place in range(len(widths)) if sum(widths[: place + 1]) + 2 * place <= WIDTH]
    return [
        "  ".join(
            line[place].ljust(widths[place]) if table.is_words(place) else line[place].rjust(widths[place])
            for place in places
        ).rstrip()
        for line in cut
    ]


def _fitted(cell):
    text = one_line(cell)
    return text if len(text) <= CELL else text[: CELL - 3] + "..."
