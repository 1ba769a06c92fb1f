"""The forms of a verb's table: fitted to the terminal, wide, CSV, Markdown, JSON."""

import csv
import dataclasses
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from lm_jax.cli.screen import make_console, print_line, shown
from lm_jax.cli.tables import markdown, print_table
from lm_jax.config.settings import setting
from lm_jax.errors import UserError
from lm_jax.report.table import Table
from lm_jax.strict_json import to_json


FORMS = ("wide", "csv", "markdown", "json")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableArguments:
    """The forms in which a verb prints its table."""

    wide: bool = setting(False, "Whether all columns are printed, however wide the terminal is.")
    csv: bool = setting(False, "Whether the output is CSV, with numbers as they are.")
    markdown: bool = setting(False, "Whether the output is a table in Markdown.")
    json: bool = setting(False, "Whether the output is JSON.")

    def check_form(self) -> None:
        """Raises UserError for several forms at once."""
        given = [name for name in FORMS if getattr(self, name)]
        if len(given) > 1:
            raise UserError(f"the output has one form, got {' and '.join(given)}", given)


def print_answer(
    arguments: TableArguments,
    table: Table,
    records: Iterable[Any],
    before: Sequence[str] = (),
    after: Sequence[str] = (),
) -> None:
    """Prints a table in the form that was asked for, if not JSON.

    Args:
        arguments: of the verb.
        table: the rows for a person.
        records: the rows for a machine, as NamedTuples or dicts.
        before: lines above the table, for a person.
        after: lines below it.
    """
    if arguments.csv:
        print_csv(records)
    elif arguments.markdown:
        print(markdown(table))
    else:
        console = make_console(wide=arguments.wide)
        for line in before:
            print_line(console, line)
        print_table(console, table, "; --wide shows them")
        for line in after:
            print_line(console, line)


def print_csv(records: Iterable[Any]) -> None:
    """Prints records as CSV: a line of names, and a line for each, with lists and objects as JSON."""
    writer = None
    for record in records:
        values = record._asdict() if hasattr(record, "_asdict") else record
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(values), lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: _cell(value) for name, value in values.items()})


def _cell(value):
    if isinstance(value, str):
        return shown(value)
    return to_json(value) if isinstance(value, dict | list | tuple) else value
