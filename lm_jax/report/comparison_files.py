"""A comparison of runs as files: JSON and CSV with every number, and a figure."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from lm_jax import strict_json
from lm_jax.errors import UserError
from lm_jax.report.comparison_figure import figure
from lm_jax.report.comparison_row import ComparisonRow
from lm_jax.report.comparison_table import notes
from lm_jax.report.out_folder import check_folder


FORMATS = ("json", "csv", "png")


def to_json(rows: Sequence[ComparisonRow]) -> str:
    """Writes one JSON object, rows and notes. An infinite number is null (`impossible` says why)."""
    return strict_json.to_json({"rows": rows, "notes": notes(rows)})


def write_comparison(rows: Sequence[ComparisonRow], out: str | Path, name: str = "ledger") -> list[Path]:
    """Writes NAME.json, NAME.csv and NAME.png, and returns their paths.
    Raises UserError for a folder that cannot be written."""
    path = check_folder(out)
    paths = [path / f"{name}.{form}" for form in FORMATS]
    try:
        path.mkdir(parents=True, exist_ok=True)
        paths[0].write_text(to_json(rows) + "\n")
        with paths[1].open("w", newline="") as file:
            writer = csv.DictWriter(file, list(ComparisonRow._fields))
            writer.writeheader()
            writer.writerows({name: _cell(value) for name, value in row._asdict().items()} for row in rows)
        figure(rows).savefig(paths[2], dpi=120)
    except OSError as error:
        raise UserError(f"out must be a folder that can be written, got {out}: {error.strerror}", ["out"]) from error
    return paths


def _cell(value):
    return json.dumps(value) if isinstance(value, dict) else value
