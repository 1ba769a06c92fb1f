"""The pictures of long_distance.py."""

import numpy as np

from experiments.gradients.long_distance_problems import PROBLEMS, SYMBOLS
from experiments.gradients.long_distance_stories import ASKED, CHANCE, KNOWN, NEW, TRAINED
from experiments.harness.figures import finish, headline, log_ticks, panels
from lm_jax.report.style import COLOURS, QUIET, draw_band, label_ends, threshold


def draw_lines(axes, x, by_name, ymin):
    """A line a model with the range over seeds; returns their ends."""
    ends = []
    for name, values in by_name.items():
        mean = draw_band(axes, x, values, COLOURS[name], "o-")
        ends.append((x[-1], mean[-1], name.upper(), COLOURS[name]))
    finish(axes, xlim=(0.9 * min(x), 1.02 * max(x)), ylim=(ymin, 1.03))
    return ends


def draw_stories(results, title: str):
    """Accuracy against distance, for nouns known from stories, and for which of the new nouns it is."""
    shown = {
        "nouns, known": (f"nouns known from stories, of {len(KNOWN + NEW)}", CHANCE),
        "new nouns, new": (f"new nouns, which of the {len(NEW)}", 1 / len(NEW)),
    }
    figure, grid = panels((11, 4.4), 1, 2, sharey=True)
    ends = []
    for axes, (key, (text, chance)) in zip(grid, shown.items(), strict=True):
        axes.axvspan(min(TRAINED), max(TRAINED), color="0.93")
        log_ticks(axes, ASKED, fontsize=8)
        ends.append(draw_lines(axes, ASKED, {name: [r["right"][key] for r in own] for name, own in results.items()}, 0))
        axes.annotate("trained on these distances", (6, 0.02), fontsize=8, color=QUIET)
        threshold(axes, chance, "chance", x=0.35)
        finish(axes, title=text, xlabel="words between the two mentions")
    grid[0].set_ylabel("share of last words right")
    return named(figure, grid, ends, title)


def draw_problems(solved, delays, title: str):
    """Score against delay, a panel a problem."""
    figure, grid = panels((12, 4.2), 1, 3)
    ends = []
    for axes, (problem, label) in zip(grid, PROBLEMS.items(), strict=True):
        log_ticks(axes, delays)
        by_name = {cell: np.array([own[str(d)]["score"] for d in delays]).T for cell, own in solved[problem].items()}
        ends.append(draw_lines(axes, delays, by_name, min(0, min(v.min() for v in by_name.values()))))
        threshold(axes, 0 if problem == "adding" else 1 / SYMBOLS, "chance")
        finish(axes, title=label, xlabel="delay (steps)")
    return named(figure, grid, ends, title)


def named(figure, grid, ends, title: str):
    """The finding above, and names at line ends once the layout has moved the axes."""
    headline(figure, title)
    figure.draw_without_rendering()
    for axes, of_axes in zip(grid, ends, strict=True):
        label_ends(axes, of_axes)
    return figure
