"""What a study leaves behind: one JSON with every number, a CSV, figures, and a page that opens with the answer."""

import base64
import csv
import html
import io
import json
import os
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.report.plain_json import to_json


DOTS_PER_INCH = 130
ROWS_SHOWN = 60
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }
.answer { font-size: 1.35rem; line-height: 1.4; border-left: .3rem solid #0072B2; padding-left: 1rem; }
figure { margin: 2rem 0; } img { max-width: 100%; height: auto; } figcaption { color: #555; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } code { background: #f3f3f3; padding: .1rem .3rem; }
"""


class Picture(NamedTuple):
    """A matplotlib figure, the name of its file without .png, and what it shows in a sentence."""

    name: str
    figure: Any
    caption: str


def remember(path: Path, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The JSON object in a file; computed and written first if it is not there. A stopped study goes on with these."""
    if not path.exists():
        text = to_json(compute(), indent=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_text(text + "\n")
        os.replace(part, path)  # whole or not at all
    return json.loads(path.read_text())


def write_study(
    folder: Path,
    name: str,
    *,
    title: str,
    question: str,
    expected: str,
    answer: str,
    command: str,
    results: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    figures: Sequence[Picture],
) -> None:
    """Writes NAME.json (all of it), NAME.csv (the rows), a PNG for each picture, and report.html, which needs no other
    file."""
    folder.mkdir(parents=True, exist_ok=True)
    words = {"title": title, "question": question, "expected": expected, "answer": answer, "command": command}
    record = {**words, "versions": versions(), "results": results, "rows": rows}
    lines = ",\n".join(f'"{key}": {to_json(value)}' for key, value in record.items())  # one a key: small and comparable
    (folder / f"{name}.json").write_text(f"{{\n{lines}\n}}\n")
    (folder / f"{name}.csv").write_text(to_csv(rows))
    images = {picture.name: _png(picture.figure) for picture in figures}
    for file, image in images.items():
        (folder / f"{file}.png").write_bytes(image)
    page = _page(words, versions(), rows, [(images[p.name], p.caption) for p in figures])
    (folder / "report.html").write_text(page)


def versions() -> dict[str, str]:
    """What the numbers were made with."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in ("jax", "numpy")}}


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The rows with a head; a column that a row lacks is empty, and so is nothing (None)."""
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


def _page(words, made_with, rows, images):
    words = {name: html.escape(text) for name, text in words.items()}
    shown = [
        f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{base64.b64encode(image).decode()}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for image, caption in images
    ]
    software = html.escape(", ".join(f"{name} {version}" for name, version in made_with.items()))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{words["title"]}</title><style>{STYLE}</style></head><body>
<h1>{words["title"]}</h1>
<p class="answer">{words["answer"]}</p>
<p><b>Question.</b> {words["question"]}</p>
<p><b>Expected.</b> {words["expected"]}</p>
{"".join(shown)}
{_table(rows)}
<p><b>Made by</b> <code>{words["command"]}</code> ({software}).</p>
</body></html>
"""


def _table(rows):
    """The first rows; all of them are in the CSV."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    head = "".join(f"<th>{html.escape(column.replace('_', ' '))}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(row.get(column)))}</td>" for column in columns) + "</tr>"
        for row in rows[:ROWS_SHOWN]
    )
    rest = f"<p>{len(rows) - ROWS_SHOWN:,} more rows are in the CSV.</p>" if len(rows) > ROWS_SHOWN else ""
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{rest}'


def _cell(value):
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
