"""The style of figures: colours, axes, and labels at the ends of lines instead of a legend."""

from collections.abc import Sequence
from typing import Any

import numpy as np


# Okabe & Ito, safe for colour-blind readers; a kind of model has the same colour in every figure.
COLOURS = {
    "n-gram": "#CC79A7",
    "window": "#E69F00",
    "rnn": "#0072B2",
    "gru": "#009E73",
    "lstm": "#D55E00",
    "mixture": "#56B4E9",
}
OTHER_COLOUR = "#000000"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SPLIT_COLOURS = dict(zip(("train", "valid", "test"), SERIES, strict=False))
QUIET = "0.4"  # of marks beside the measurements: thresholds, chance


def clean(axes: Any) -> None:
    """No lines that say nothing, and a grid that does not shout."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)


def draw_band(
    axes: Any, x: Sequence[float], values: Any, colour: str, style: str = "-", label: str | None = None
) -> Any:
    """Draws the mean over the rows of `values` as a line and their range as a band, and returns the mean.

    Args:
        axes: The axes of matplotlib.
        x: The places, [N].
        values: A row for each seed, [S, N].
        colour: Of line and band.
        style: The format of the line, as for `plot`.
        label: The name of the line in a legend.
    """
    values = np.asarray(values, float)
    mean = values.mean(0)
    axes.plot(x, mean, style, color=colour, markersize=3, label=label)
    axes.fill_between(x, values.min(0), values.max(0), color=colour, alpha=0.18, linewidth=0)
    return mean


def threshold(axes: Any, level: float, text: str, x: float = 0.01) -> None:
    """Draws a dotted horizontal line with its name above it.

    Args:
        axes: The axes of matplotlib.
        level: Where, in the units of the y axis.
        text: The name.
        x: Where the name begins, as a share of the width.
    """
    axes.axhline(level, color=QUIET, linewidth=0.8, linestyle=":")
    where = {"xycoords": axes.get_yaxis_transform(), "xytext": (0, 2), "textcoords": "offset points"}
    axes.annotate(text, (x, level), **where, fontsize=8, color=QUIET)


def label_ends(axes: Any, labels: Sequence[tuple[float, float, str, str]], fontsize: float = 8.5) -> None:
    """Writes text beside line ends, moved apart up and down so that none covers another.

    Scales, and limits that are not automatic, must be set before. Ends outside the limits are put at the border.

    Args:
        axes: The axes of matplotlib.
        labels: (x, y, text, colour) of each line end.
        fontsize: In points.
    """
    axes.get_xlim()  # matplotlib puts off automatic limits until somebody asks
    axes.get_ylim()
    to_pixels, height = axes.transData.transform, axes.bbox.height
    gap = fontsize * 1.25 * axes.figure.dpi / 72
    left, bottom = axes.transAxes.transform((0, 0))
    placed = []
    for x, y, text, colour in labels:
        at_x, at_y = to_pixels((x, y))
        placed.append([at_x, min(max(at_y - bottom, 0), height), text, colour])
    placed.sort(key=lambda label: label[1])
    for at, height_wanted in zip(placed, _spread([label[1] for label in placed], gap, height), strict=True):
        axes.annotate(
            at[2],
            xy=((at[0] - left) / axes.bbox.width, height_wanted / height),
            xycoords="axes fraction",
            xytext=(5, 0),
            textcoords="offset points",
            color=at[3],
            fontsize=fontsize,
            va="center",
            annotation_clip=False,
        )


def _spread(heights, gap, top):
    """Rising heights at least `gap` apart, each near its own, between 0 and `top` as far as there is room."""
    groups = []  # [sum of wanted heights less offsets, members]: neighbours that touch are moved together
    for height in heights:
        groups.append([height, 1])
        while len(groups) > 1 and _start(groups[-2], gap, top) + groups[-2][1] * gap > _start(groups[-1], gap, top):
            (total, count), last = groups.pop(), groups[-1]
            last[0], last[1] = last[0] + total - count * last[1] * gap, last[1] + count
    return [_start(group, gap, top) + k * gap for group in groups for k in range(group[1])]


def _start(group, gap, top):
    """Returns the height of the lowest of a group: the mean of where its members want it, moved inside."""
    return max(0.0, min(group[0] / group[1], top - (group[1] - 1) * gap))
