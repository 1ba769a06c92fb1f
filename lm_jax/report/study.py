"""The record of a study: one JSON with every number, a CSV, figures, and a page that opens with the answer."""

import csv
import io
import json
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.files import write_bytes, write_text
from lm_jax.report.page import to_html
from lm_jax.strict_json import to_json


DOTS_PER_INCH = 130
PACKAGES = ("jax", "numpy", "lm-jax")


class Picture(NamedTuple):
    """A matplotlib figure, the name of its file without .png, and what it shows in a sentence."""

    name: str
    figure: Any
    caption: str


class Record(NamedTuple):
    """Everything that a study leaves but its pictures.

    name: of the files. rows: the table of the page and of the CSV. seeds, machine, date: left out of the JSON where
    nothing is known. figures: captions by the name of the picture's file.
    """

    name: str
    title: str
    question: str
    expected: str
    answer: str
    command: str
    results: dict[str, Any]
    rows: Sequence[dict[str, Any]]
    versions: dict[str, str]
    seeds: Sequence[int] | None = None
    machine: dict[str, Any] | None = None
    date: str | None = None
    figures: dict[str, str] = {}  # noqa: RUF012


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that the numbers were made with."""
    numbers = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            numbers[name.replace("-", "_")] = metadata.version(name)
        except metadata.PackageNotFoundError:  # lm_jax on the path, but not installed
            continue
    return numbers


def remember(path: Path, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Returns the JSON object in a file; computed and written first if it is not there.
    A stopped study continues with these."""
    if not path.exists():
        text = to_json(compute(), indent=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text + "\n")
    return json.loads(path.read_bytes())


def write_study(folder: Path, record: Record, pictures: Sequence[Picture]) -> list[Path]:
    """Writes NAME.json (all of it), NAME.csv (the rows), a PNG for each picture, and report.html,
    which needs no other file; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    record = record._replace(figures={picture.name: picture.caption for picture in pictures})
    write_record(folder, record)
    images = [folder / f"{picture.name}.png" for picture in pictures]
    for path, picture in zip(images, pictures, strict=True):
        write_bytes(path, _png(picture.figure))
    return [folder / f"{record.name}.json", folder / f"{record.name}.csv", *images, write_page(folder, record.name)]


def write_record(folder: Path, record: Record) -> None:
    """Writes the JSON and the CSV of a record."""
    fields = {name: value for name, value in record._asdict().items() if value is not None}
    lines = ",\n".join(f'"{name}": {to_json(value)}' for name, value in fields.items())  # small, and lines compare
    write_text(folder / f"{record.name}.json", f"{{\n{lines}\n}}\n")
    write_text(folder / f"{record.name}.csv", to_csv(record.rows))


def read_record(folder: Path, name: str) -> Record:
    """Reads the record NAME.json of a folder."""
    return Record(**json.loads((folder / f"{name}.json").read_bytes()))


def write_page(folder: Path, name: str) -> Path:
    """Writes report.html out of the record and the pictures that are in the folder, and returns its path."""
    record = read_record(folder, name)
    images = [((folder / f"{figure}.png").read_bytes(), caption) for figure, caption in record.figures.items()]
    path = folder / "report.html"
    write_text(path, to_html(record._asdict(), images))
    return path


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Writes the rows with a head; a column that a row lacks is empty, and so is nothing (None)."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _png(figure):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return file.getvalue()
