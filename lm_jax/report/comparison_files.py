"""A comparison of runs as files: JSON and CSV with every number, and a figure."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from lm_jax import strict_json
from lm_jax.errors import UserError
from lm_jax.files import write_text
from lm_jax.report.comparison_figure import figure
from lm_jax.report.comparison_row import ComparisonRow
from lm_jax.report.comparison_table import notes
from lm_jax.report.numbers import short
from lm_jax.report.out_folder import check_folder
from lm_jax.report.picture_file import save_figure


FORMATS = ("json", "csv", "png")


def to_json(rows: Sequence[ComparisonRow]) -> str:
    """Writes one JSON object, rows and notes. An infinite number is null (`impossible` says why)."""
    return strict_json.to_json({"rows": rows, "notes": notes(rows)})


def write_comparison(rows: Sequence[ComparisonRow], out: str | Path, name: str = "ledger") -> list[Path]:
    """Writes NAME.json, NAME.csv and NAME.png, and returns their paths.

    Args:
        rows: A row for each model.
        out: The folder.
        name: NAME.

    Raises:
        UserError: For a folder that cannot be written.
    """
    path = check_folder(out)
    paths = [path / f"{name}.{form}" for form in FORMATS]
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_text(paths[0], to_json(rows) + "\n")
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, list(ComparisonRow._fields))
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row._asdict().items()} for row in rows)
        write_text(paths[1], table.getvalue())
        save_figure(figure(rows, _finding(rows)), paths[2])
    except OSError as error:
        raise UserError(f"out must be a folder that can be written, got {out}: {error.strerror}", ["out"]) from error
    return paths


def _finding(rows):
    """Says which row has the lowest score of those that the figure draws."""
    name = "bits_per_character" if rows[0].perplexity is None else "perplexity"
    best = min(rows, key=lambda row: getattr(row, name))
    return f"Lowest {name.replace('_', ' ')}: {best.name}, {short(getattr(best, name))}"


def _cell(value):
    return strict_json.to_json(value) if isinstance(value, dict) else value
