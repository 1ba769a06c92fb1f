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
from lm_jax.report.picture_file import draw_into
from lm_jax.strict_json import to_json


DOTS_PER_INCH = 130
PACKAGES = ("jax", "numpy", "lm-jax")


class Picture(NamedTuple):
    """The name of a picture's file without .png, its matplotlib figure, and what it shows in a sentence.

    figure: None for a picture that the record has no numbers for: the file that lies in the folder is kept.
    """

    name: str
    figure: Any
    caption: str


class Record(NamedTuple):
    """Everything that a study leaves but its pictures.

    name: of the files. rows: what was measured, for the CSV and the page. seeds, machine, date, verdicts (the parts of
    the expectation, as fields of `lm_jax.report.verdict.Verdict`), means (a short table), columns (what each column of
    the tables is), links (addresses by text) and commands (all that added to the results, oldest first, where there are
    several; command is the last): left out of the JSON where nothing is known. figures: captions by the name of the
    picture's file.
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
    verdicts: Sequence[dict[str, Any]] | None = None
    means: Sequence[dict[str, Any]] | None = None
    columns: dict[str, str] | None = None
    links: dict[str, str] | None = None
    figures: dict[str, str] = {}  # noqa: RUF012
    commands: Sequence[str] | None = None

    @property
    def all_commands(self) -> list[str]:
        """The commands that made the results, oldest first."""
        return list(self.commands or [self.command])


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
    """Writes NAME.json (all of it), NAME.csv (the rows), a PNG for each picture, and report.html, which needs no other
    file.

    Args:
        folder: Where to write.
        record: The record of the study.
        pictures: Its pictures; one without a figure stays as it lies in the folder.

    Returns:
        The paths of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [p for p in pictures if p.figure is not None or (folder / f"{p.name}.png").exists()]
    record = record._replace(figures={picture.name: picture.caption for picture in pictures})
    write_record(folder, record)
    images = [folder / f"{picture.name}.png" for picture in pictures]
    for path, picture in zip(images, pictures, strict=True):
        if picture.figure is not None:
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
    """A figure as PNG with a palette, a third as large as with full colours."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    drawn, file = io.BytesIO(), io.BytesIO()
    FigureCanvasAgg(figure)
    draw_into(figure, drawn, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    with Image.open(drawn) as image:
        reduced = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    reduced.save(file, format="png", optimize=True, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
    return file.getvalue()
