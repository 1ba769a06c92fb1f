"""The page of a study: one HTML file that needs no other, with the answer on top."""

import base64
import html
import itertools
from collections.abc import Sequence
from typing import Any

from lm_jax.report.numbers import cell
from lm_jax.report.verdict import MARKS, RULE, overall


ROWS_SHOWN = 60
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 1.5rem auto;
       padding: 0 1rem; overflow-wrap: break-word; }
a { color: #0072B2; } h1 { font-size: 1.7rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2rem; }
nav a { margin-right: 1.2rem; display: inline-block; } .quiet, figcaption, dd { color: #595959; }
.answer { font-size: 1.3rem; line-height: 1.4; border-left: .3rem solid #0072B2; padding-left: 1rem; }
.mark { border: 1px solid currentColor; border-radius: .3rem; padding: 0 .4rem; white-space: nowrap; }
figure { margin: 2rem 0; } img { max-width: 100%; height: auto; background: #fff; border-radius: .3rem; }
div.wide { overflow-x: auto; max-width: 100%; }
@media (max-width: 40rem) { figure img { max-width: none; width: 40rem; } }
table { border-collapse: collapse; margin-bottom: 1rem; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top; }
th { max-width: 9rem; vertical-align: bottom; } td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } table.words td { white-space: normal; text-align: left; }
table.words th { text-align: left; } table.words td:last-child { white-space: nowrap; }
dl { font-size: .9rem; } dt { font-weight: 600; } dd { margin: 0 0 .3rem 1rem; } summary { cursor: pointer; }
code { background: #f3f3f3; padding: .1rem .3rem; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #16181c; } a { color: #6cb6e8; } .answer { border-color: #6cb6e8; }
  .quiet, figcaption, dd { color: #a8adb5; } th, td { border-color: #3a3f47; } code { background: #24282e; } }
"""


def to_html(record: dict[str, Any], images: Sequence[tuple[bytes, str]]) -> str:
    """Writes the page as HTML.

    Args:
        record: name, title, question, expected, answer, command, versions and rows; where known verdicts (the parts of
            the expectation), means (a short table), columns (what the columns of both tables are), links (texts and
            addresses), commands (all that made the results, where there are several), machine, seeds and date.
        images: a PNG and its caption, in order.

    Returns:
        The text of one file that needs no other.
    """
    words = {name: html.escape(record[name]) for name in ("title", "question", "answer")}
    commands = record.get("commands") or [record["command"]]
    made_by = ", then ".join(f"<code>{html.escape(command)}</code>" for command in commands)
    figures = "".join(
        f'<figure><div class="wide"><img alt="{html.escape(caption)}" '
        f'src="data:image/png;base64,{base64.b64encode(image).decode()}"></div>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for image, caption in images
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{words["title"]}</title><style>{" ".join(STYLE.split())}</style></head><body>
{_links(record)}
<h1>{words["title"]}</h1>
<p class="answer">{words["answer"]}</p>
<p><b>Question.</b> {words["question"]}</p>
{_expectation(record)}
{figures}
{_tables(record)}
<p class="quiet"><b>Made by</b> {made_by} ({html.escape(_made_with(record))}).</p>
</body></html>
"""


def _links(record):
    """To the record and the rows, which lie beside the page, and to what else the record knows of."""
    name = record["name"]
    links = {**(record.get("links") or {}), "record (JSON)": f"{name}.json", "rows (CSV)": f"{name}.csv"}
    found = "".join(f'<a href="{html.escape(to)}">{html.escape(text)}</a>' for text, to in links.items())
    return f"<nav>{found}</nav>"


def _expectation(record):
    """What was expected; with its parts and what became of each, where they are known."""
    verdicts, expected = record.get("verdicts") or [], html.escape(record["expected"])
    if not verdicts:
        return f"<p><b>Expected.</b> {expected}</p>"
    mark = overall([part["holds"] for part in verdicts])
    lines = [[part["expected"], part["found"], MARKS[part["holds"]]] for part in verdicts]
    return (
        f'<p><b>Expected</b> <span class="mark">{mark}</span> {expected}</p>'
        f'{_table(("expected", "found", "verdict"), lines, "words")}<p class="quiet">{RULE}</p>'
    )


def _tables(record):
    """The means, what the columns are, and the rows folded away; the rows in the open where there are no means."""
    rows, means, columns = record["rows"], record.get("means") or [], record.get("columns") or {}
    of_rows = _table_of(rows[:ROWS_SHOWN])
    if len(rows) > ROWS_SHOWN:
        of_rows += f"<p>{len(rows) - ROWS_SHOWN:,} more rows are in the CSV.</p>"
    described = _described(columns, means, rows)
    if not means:
        return of_rows + described
    folded = f"<details><summary>All {len(rows):,} rows, as measured</summary>{of_rows}</details>"
    # rows of other columns are a table of their own
    short = "".join(_table_of(list(alike)) for _, alike in itertools.groupby(means, key=tuple))
    return f"<h2>Means, with intervals where there are several measurements</h2>{short}{described}{folded}"


def _described(columns, *tables):
    """The columns that the tables have, each with what it is."""
    present = {name for table in tables for row in table for name in row}
    known = "".join(
        f"<dt>{html.escape(_head(name))}</dt><dd>{html.escape(text)}</dd>"
        for name, text in columns.items()
        if name in present
    )
    return f"<details open><summary>What the columns are</summary><dl>{known}</dl></details>" if known else ""


def _made_with(record):
    """Versions, then machine, seeds and date as far as they are known."""
    parts = [f"{name} {version}" for name, version in record["versions"].items()]
    parts += [f"{name.replace('_', ' ')} {cell(value)}" for name, value in (record.get("machine") or {}).items()]
    if record.get("seeds"):
        parts.append(f"seeds {', '.join(map(str, record['seeds']))}")
    return ", ".join([*parts, *filter(None, [record.get("date")])])


def _table_of(rows):
    """A table of records, a column for every field that any of them has."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return _table(map(_head, columns), [[cell(row.get(column)) for column in columns] for row in rows])


def _table(titles, rows, kind=""):
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    marked = f' class="{kind}"' if kind else ""
    return f'<div class="wide"><table{marked}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _head(column):
    return column.replace("_", " ")
