"""Figures of studies: their panels, the words around one, and lines that are named at their ends."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lm_jax.report.style import clean, label_ends


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
