"""Writes the index of the studies, README.md and results/index.html, out of their docstrings and recorded results.

python experiments/make_index.py
"""

import ast
import html
import re
from pathlib import Path
from typing import NamedTuple

from experiments.harness import Study
from experiments.recurrences import table
from lm_jax.report.page import STYLE
from lm_jax.report.study import Record, read_record
from lm_jax.report.verdict import overall


HERE = Path(__file__).resolve().parent
FOLDERS = ("gradients", "recurrences", "language_models", "tasks", "uses", "benchmarks")
IS_STUDY = re.compile(r"^STUDY = Study\(", re.MULTILINE)
WIDTH = 200  # of a small picture, in pixels
MARKS = {
    "confirmed": "as expected",
    "partly": "partly as expected",
    "not confirmed": "not as expected",
    "not measured": "expectation not measured",
}
HEAD = """# Experiments

One question a script. Every script says in its docstring what was expected before it ran, and leaves a record: a JSON
with every number, the command, versions, seeds and machine; a CSV; pictures; and a page, `report.html`, that needs no
other file. The page says which parts of the expectation hold, explains every column, and folds away the raw rows.
[results/index.html](results/index.html) is this index with links that a browser opens. Both are made from the records
by `python experiments/make_index.py`.

After `pip install -e .` in a clone:

    python experiments/gradients/depth.py            # runs the study; interrupted, the same command goes on
    python experiments/gradients/depth.py --smoke    # seconds; numbers mean nothing
    python experiments/gradients/depth.py --page     # writes answer, pictures and page again from its record

`--out FOLDER` keeps the record elsewhere, `--runs FOLDER` what an interrupted study goes on from. Without an editable
install, `python -m experiments.gradients.depth` in the clone does the same. What the studies share is in
[harness/](harness), the notebook in [colab/](colab).

## An accelerator

No study, but one command for the minutes that a GPU or a TPU is at hand:

    python experiments/accelerator.py                # the most telling cases, for 8 minutes; again: those left out
    python experiments/accelerator.py --smoke        # a CPU, a few cases; numbers mean nothing

It asks whether the device is right (every cell and engine, losses, generation, the gradient map, against float64 on the
host; the reports on cuDNN; the same bits twice) and how fast it is (layers by engine and number type beside torch's
cuDNN, training steps, generation, whole trainings; with what bounds each, against two ceilings that it measures first).
`results/accelerator/DEVICE.json` is whole after every case; a picture, a table and a line to report come at the end.
`--write-table` then writes [measured.py](../lm_jax/cells/engines/measured.py), which `--recurrence auto` reads. Its
parts are in [accelerators/](accelerators).

On an [NVIDIA H200](results/accelerator/nvidia-h200.png), in 6 minutes, 11 of the cases of "right?" were asked, 9 of
them in float32 against float64, and 10 were right; the other is the LSTM on cuDNN,
[mended since](../lm_jax/cells/lstm/cudnn.py) and not run again. `fused` takes 0.64 to 1.00 of torch's time for the
gradients of a layer ([table](../lm_jax/cells/README.md#speed); [record](results/accelerator/nvidia-h200.json)). All
cases would take about an hour there, for XLA compiles most for 5 to 20 seconds. It has not run on a TPU.
"""
CARDS = """
article { display: grid; grid-template-columns: 11rem 1fr; gap: 0 1.2rem; padding: 1rem 0;
          border-top: 1px solid #88888866; } article > * { min-width: 0; }
article h3 { margin: 0; font-size: 1.05rem; }
article p { margin: .3rem 0; } article img { width: 100%; } code { overflow-wrap: anywhere; }
@media (max-width: 40rem) { article { grid-template-columns: 1fr; } article img { max-width: 14rem; } }
"""


class Entry(NamedTuple):
    """A study as the index needs it: its words, its script, and how long it takes."""

    study: Study
    script: Path
    time: str


def scripts() -> list[Path]:
    """The scripts of all studies, by folder and name."""
    found = [path for folder in FOLDERS for path in sorted((HERE / folder).glob("*.py"))]
    return [path for path in found if IS_STUDY.search(path.read_text())]


def entry(script: Path) -> Entry:
    """The entry of a script, read without running it."""
    doc = ast.get_docstring(ast.parse(script.read_text()), clean=False) or ""
    time = re.search(r"^    python experiments/.*?  +(\S.*)$", doc, re.MULTILINE)
    return Entry(Study(doc, script), script, time[1] if time else "")


def is_recorded(found: Entry) -> bool:
    """Says whether a study was run and left its record."""
    return (found.study.results / f"{found.study.name}.json").is_file()


def record_of(found: Entry) -> Record:
    """The record that a study left."""
    return read_record(found.study.results, found.study.name)


def mark(record: Record) -> str:
    """How the expectation of a study compares with its record, in words."""
    return MARKS[overall([part["holds"] for part in record.verdicts or []])]


def table_row(found: Entry) -> str:
    """A line of README.md: question, answer, a small picture, command and time."""
    script = found.script.relative_to(HERE)
    if not is_recorded(found):
        command = f"[`python {found.study.script}`]({script})"
        return f"| {found.study.question} | Not run to its end yet. | | {command}, {found.time} |"
    record, place = record_of(found), found.study.results.relative_to(HERE)
    picture = next(iter(record.figures), None)
    shown = f'<img src="{place}/{picture}.png" width="{WIDTH}" alt="{html.escape(record.title)}">' if picture else ""
    commands = ", then ".join(f"[`{command}`]({script})" for command in record.all_commands)
    question, answer, shown = (text.replace("|", "&#124;") for text in (record.question, record.answer, shown))
    return (
        f"| [{question}]({place}/report.html) | {answer} ({mark(record)}; [record]({place}/{record.name}.json)) "
        f"| {shown} | {commands}, {found.time} |"
    )


def summary_of(folder: str) -> tuple[str, str]:
    """The heading of a folder of studies, and its sentence."""
    text = ast.get_docstring(ast.parse((HERE / folder / "__init__.py").read_text())) or ""
    return folder.replace("_", " ").capitalize(), text


def in_folder(folder: str) -> list[Entry]:
    """The studies of a folder."""
    return [entry(script) for script in scripts() if script.parent.name == folder]


def side_by_side() -> dict[str, list[dict[str, str]]]:
    """By folder, the table that its studies fill together."""
    return {"recurrences": table.rows(table.values())}


def index() -> str:
    """The text of README.md."""
    parts, tables = [HEAD], side_by_side()
    for folder in FOLDERS:
        title, text = summary_of(folder)
        rows = "\n".join(table_row(found) for found in in_folder(folder))
        head = "| question | answer | picture | command, time |\n|---|---|---|---|"
        parts.append(f"## {title}\n\n{text}\n\n{head}\n{rows}\n")
        if folder in tables:
            parts.append(f"Side by side:\n\n{table.markdown(tables[folder])}")
    return "\n".join(parts)


def card(found: Entry) -> str:
    """A study on the page of all studies."""
    script = f"../{found.script.relative_to(HERE)}"
    if not is_recorded(found):
        asked, command = html.escape(found.study.question), html.escape(f"python {found.study.script}")
        return (
            f"<article><span></span><div><h3>{asked}</h3><p>Not run to its end yet.</p>"
            f'<p><code>{command}</code>, {html.escape(found.time)}; <a href="{script}">script</a></p></div></article>'
        )
    record, place = record_of(found), found.study.results.relative_to(HERE / "results")
    words = {name: html.escape(getattr(record, name)) for name in ("title", "question", "answer")}
    commands = ", then ".join(f"<code>{html.escape(command)}</code>" for command in record.all_commands)
    picture, page = next(iter(record.figures), None), f"{place}/report.html"
    shown = f'<img src="{place}/{picture}.png" alt="{words["title"]}" loading="lazy">' if picture else ""
    base = f"{place}/{record.name}"
    links = {"script": script, "record (JSON)": f"{base}.json", "rows (CSV)": f"{base}.csv"}
    line = ", ".join(f'<a href="{to}">{text}</a>' for text, to in links.items())
    return (
        f'<article><a href="{page}">{shown}</a><div><h3><a href="{page}">{words["title"]}</a></h3>'
        f'<p>{words["answer"]} <span class="mark">{mark(record)}</span></p><p class="quiet">{words["question"]}</p>'
        f'<p class="quiet">{commands}, {html.escape(found.time)}; {line}</p></div></article>'
    )


def html_table(rows: list[dict[str, str]]) -> str:
    """Rows of texts as a table that scrolls where the window is narrow."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in rows[0])
    lines = ["".join(f"<td>{html.escape(text)}</td>" for text in row.values()) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div style="overflow-x: auto"><table><tr>{head}</tr>{body}</table></div>'


def page() -> str:
    """The text of results/index.html."""
    sections, tables = [], side_by_side()
    for folder in FOLDERS:
        title, text = summary_of(folder)
        cards = "\n".join(card(found) for found in in_folder(folder))
        sections.append(f"<h2>{title}</h2>\n<p>{html.escape(text)}</p>\n{cards}")
        if folder in tables:
            sections.append(html_table(tables[folder]))
    body = "\n".join(sections)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Studies of lm_jax</title><style>{" ".join((STYLE + CARDS).split())}</style></head><body>
<h1>Studies of lm_jax</h1>
<p>What was asked, what was found, and whether it was expected. Every number comes from the record beside it.</p>
{body}
</body></html>
"""


if __name__ == "__main__":
    (HERE / "README.md").write_text(index())
    (HERE / "results" / "index.html").write_text(page())
