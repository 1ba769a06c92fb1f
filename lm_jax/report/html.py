"""Pieces of HTML for a notebook: small, self-contained, everything of the user's or a model's escaped."""

import base64
import html
import io
from typing import Any

from lm_jax.report.picture_file import draw_into
from lm_jax.report.table import Table


MOST_ROWS = 60
CELL = "padding:.15rem .6rem;white-space:pre-wrap"


def fragment(title: str, *parts: str) -> str:
    """Puts pieces of HTML below a title, a text; empty pieces are left out."""
    return f"<div><p><b>{html.escape(title)}</b></p>{''.join(filter(None, parts))}</div>"


def paragraph(text: str) -> str:
    """Writes a text as a paragraph; nothing for an empty one."""
    return f"<p>{html.escape(text)}</p>" if text else ""


def quotation(text: str) -> str:
    """Writes a text of a model, with its line ends."""
    return f'<pre style="border-left:.2rem solid #999;padding-left:.6rem">{html.escape(_printable(text))}</pre>'


def table_html(table: Table | None) -> str:
    """Writes a table; nothing where there is none. Of a long one the first rows, and how many more there are."""
    if table is None:
        return ""
    head = "".join(_cell("th", title, table.is_words(place)) for place, title in enumerate(table.titles))
    body = "".join(
        "<tr>" + "".join(_cell("td", cell, table.is_words(place)) for place, cell in enumerate(row)) + "</tr>"
        for row in table.rows[:MOST_ROWS]
    )
    more = len(table.rows) - MOST_ROWS
    rest = paragraph(f"... and {more:,} more rows") if more > 0 else ""
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}</div>"


def _cell(tag, text, is_words):
    align = "left" if is_words else "right"
    return f'<{tag} style="{CELL};text-align:{align}">{html.escape(_printable(text))}</{tag}>'


def _printable(text):
    """Without the control codes that HTML does not allow."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def image_html(png: bytes, caption: str) -> str:
    """Writes a picture into the page itself."""
    source = base64.b64encode(png).decode()
    alt = html.escape(caption, quote=True)
    return f'<p><img alt="{alt}" src="data:image/png;base64,{source}" style="max-width:100%"/></p>'


def figure_html(figure: Any, caption: str) -> str:
    """Writes a matplotlib figure into the page itself."""
    buffer = io.BytesIO()
    draw_into(figure, buffer, format="png", dpi=80)
    return image_html(buffer.getvalue(), caption)
