"""The page of a study: one HTML file that needs no other, with the answer on top."""

import base64
import html
from collections.abc import Sequence
from typing import Any


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


def to_html(record: dict[str, Any], images: Sequence[tuple[bytes, str]]) -> str:
    """Writes the page as HTML.

    Args:
        record: title, question, expected, answer, command, versions and rows; machine, seeds and date where known.
        images: a PNG and its caption, in order.
    """
    words = {name: html.escape(record[name]) for name in ("title", "question", "expected", "answer", "command")}
    figures = "".join(
        f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{base64.b64encode(image).decode()}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for image, caption in images
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{words["title"]}</title><style>{" ".join(STYLE.split())}</style></head><body>
<h1>{words["title"]}</h1>
<p class="answer">{words["answer"]}</p>
<p><b>Question.</b> {words["question"]}</p>
<p><b>Expected.</b> {words["expected"]}</p>
{figures}
{_table(record["rows"])}
<p><b>Made by</b> <code>{words["command"]}</code> ({html.escape(_made_with(record))}).</p>
</body></html>
"""


def _made_with(record):
    """Versions, then machine, seeds and date as far as they are known."""
    parts = [f"{name} {version}" for name, version in record["versions"].items()]
    parts += [f"{name.replace('_', ' ')} {_cell(value)}" for name, value in (record.get("machine") or {}).items()]
    if record.get("seeds"):
        parts.append(f"seeds {', '.join(map(str, record['seeds']))}")
    return ", ".join([*parts, *filter(None, [record.get("date")])])


def _table(rows):
    """Returns the first rows; all of them are in the CSV."""
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
