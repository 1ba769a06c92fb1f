"""Figures of studies: their panels, the words around one, and lines that are named at their ends."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lm_jax.report.style import SERIES, clean, label_ends


LETTERS_AN_INCH = 10  # of a headline
ON_LINES = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # behind a label that crosses a line


def panels(size: tuple[float, float], rows: int = 1, columns: int = 1, **shared: Any) -> tuple[Figure, Any]:
    """A figure and its axes in reading order; shared: what of the axes is (`sharex`, `sharey`)."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared).ravel()


def finish(axes: Any, ends: Sequence[tuple[float, float, str, str]] = (), title: str = "", **settings: Any) -> None:
    """Gives axes their title and what `Axes.set` takes, then a grid, then names (x, y, text, colour) at line ends."""
    axes.set_title(title, loc="left")
    axes.set(**settings)
    clean(axes)
    label_ends(axes, ends)


def draw_lines(axes: Any, lines: Mapping[str, tuple[Sequence[float], Sequence[float], str]], style: str = "o-") -> Any:
    """Draws (x, y, colour) by name and returns the ends, for `finish`."""
    for x, y, colour in lines.values():
        axes.plot(x, y, style, color=colour, markersize=3)
    return [(x[-1], y[-1], name, colour) for name, (x, y, colour) in lines.items()]


def draw_log_band(axes: Any, x: Sequence[float], logs: Any, colour: str, alpha: float = 0.18) -> Any:
    """Draws of logarithms [seeds, x] the geometric mean as a line and the range as a band, and returns that mean."""
    logs = np.asarray(logs, float)
    mean = np.exp(logs.mean(0))
    axes.plot(x, mean, color=colour, linewidth=1.8)
    axes.fill_between(x, np.exp(logs.min(0)), np.exp(logs.max(0)), color=colour, alpha=alpha, linewidth=0)
    return mean


def log_ticks(axes: Any, ticks: Sequence[float], base: int = 10, **style: Any) -> None:
    """Makes the horizontal axis logarithmic, with these ticks alone."""
    axes.set_xscale("log", base=base)
    axes.set_xticks(ticks, [str(tick) for tick in ticks], **style)
    axes.minorticks_off()


def headline(figure: Any, text: str) -> None:
    """Writes the finding above all panels, in as many lines as the width needs."""
    letters = int(LETTERS_AN_INCH * figure.get_figwidth())
    figure.suptitle(textwrap.fill(text, letters), x=0.01, ha="left", fontsize=11.5, fontweight="bold")


def bars(
    values: Mapping[str, float], title: str, xlabel: str, show: str = "{:.2f}", line: float | None = None
) -> Figure:
    """A horizontal bar with its number for each name, the first at the top; line: where a dotted one is drawn."""
    figure, (axes,) = panels((7.2, 1.1 + 0.34 * len(values)))
    places = np.arange(len(values))
    axes.barh(places, list(values.values()), 0.62, color=SERIES[0])
    if line is not None:
        axes.axvline(line, color="black", linewidth=1, linestyle=":")
    style = {"textcoords": "offset points", "va": "center", "fontsize": 9}
    if line is not None:  # a number that stands on it stays legible
        style["bbox"] = ON_LINES
    for place, value in zip(places, values.values(), strict=True):
        axes.annotate(show.format(value), (value, place), (4, 0), **style)
    axes.set_yticks(places, list(values))
    axes.invert_yaxis()
    axes.margins(x=0.14)
    headline(figure, title)
    finish(axes, xlabel=xlabel)
    axes.grid(axis="y", visible=False)
    return figure
