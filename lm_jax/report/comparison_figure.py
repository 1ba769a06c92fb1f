"""The figure of a comparison of runs: a dot with its interval for each."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lm_jax.report.comparison_row import ComparisonRow
from lm_jax.report.comparison_table import spelling_mark
from lm_jax.report.labels import plain_label
from lm_jax.report.numbers import short
from lm_jax.report.style import COLOURS, OTHER_COLOUR


if TYPE_CHECKING:
    from matplotlib.figure import Figure


HUGE = 1e100  # that no axis can be drawn around


def figure(rows: Sequence[ComparisonRow], title: str = "") -> "Figure":
    """Draws a dot with its 95 % interval for each row, the first at the top, and a title above.

    They are perplexities, or bits per character where there are none.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    name = "bits_per_character" if rows[0].perplexity is None else "perplexity"
    drawn = Figure(figsize=(7.2, 1.4 + 0.42 * len(rows)), layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.add_subplot()
    for place, row in enumerate(rows):
        _draw_row(axes, place, row, name)
    values = [value for value in (getattr(row, name) for row in rows) if value < HUGE]
    if values and max(values) > 4 * min(values):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(values) < 100 * min(values) else (1,)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: "")
    marked = name == "bits_per_character" and not all(row.spelled for row in rows)
    axes.set_yticks(range(len(rows)), [plain_label(row.name) + (spelling_mark(row) if marked else "") for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_xlabel(
        f"{name.replace('_', ' ')}, {rows[0].split} text; bars: 95 % intervals"
        + ("\n* too low: unknown words or white space left out" if marked else "")
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(alpha=0.3, axis="x")
    axes.margins(x=0.12)
    families = list(dict.fromkeys(row.family for row in rows))
    if len(families) > 1:
        handles = [axes.plot([], [], "o-", color=_colour(family), label=plain_label(family))[0] for family in families]
        drawn.legend(handles=handles, loc="outside lower center", ncols=len(families), frameon=False)
    if title:
        drawn.suptitle(title, x=0.01, ha="left", fontsize=11.5, fontweight="bold")
    return drawn


def _colour(family):
    return COLOURS.get(family, OTHER_COLOUR)


def _draw_row(axes, place, row, name):
    colour = _colour(row.family)
    value, *ends = row.interval(name)
    if not value < HUGE:
        words = short(value) if math.isfinite(value) else "infinite"
        axes.text(0.99, place, words, color=colour, ha="right", va="center", transform=axes.get_yaxis_transform())
        return
    low, high = (end if abs(end) < HUGE else value for end in ends)
    axes.plot([low, high], [place, place], "|-", color=colour, linewidth=1.5, markersize=10, markeredgewidth=1.5)
    axes.plot([value], [place], "o", color=colour, markersize=5)
    label = {"xy": (value, place), "xytext": (0, 6), "textcoords": "offset points", "ha": "center"}
    axes.annotate(short(value), **label, color=colour, fontsize=9)
