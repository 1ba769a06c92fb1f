"""The picture of a lag profile: what is left of a gradient, against the distance that it has come."""

import itertools
import math
import textwrap
from typing import Any

import numpy as np

from lm_jax.analysis.lag_profile import LagProfile
from lm_jax.report.figures import UNITS
from lm_jax.report.style import SERIES, clean, label_ends


THRESHOLDS = {0.1: "10 %", 0.01: "1 %"}
TITLE_WIDTH = 85  # letters
DEEPEST = 1e-12  # the picture ends where no median is above it: the gradient is as good as gone


def lag_figure(profiles: dict[str, LagProfile], level: str, title: str = "") -> Any:
    """Makes a matplotlib figure of one layer, a line for each leaf of its carry, the finding above it.

    The line is the median over predictions, the dark band its 95 % bootstrap band over texts, the light band half of
    all predictions (their quartiles).

    Args:
        profiles: The profile of each leaf by its name.
        level: What a token is: "char", "byte", "word" or "bpe".
        title: The finding.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yscale("log")
    medians = {leaf: _shares(profile.log_median) for leaf, profile in profiles.items()}
    colours = dict(zip(profiles, itertools.cycle(SERIES), strict=False))
    for leaf, profile in profiles.items():
        _draw_bands(axes, profile, colours[leaf])
        axes.plot(profile.lags, medians[leaf], color=colours[leaf], linewidth=1.8)
    last = max((int(np.flatnonzero(m >= DEEPEST)[-1]) + 1 for m in medians.values() if np.any(m >= DEEPEST)), default=1)
    shown = np.concatenate([m[:last][m[:last] > 0] for m in medians.values()])
    axes.set_ylim(max(0.2 * min(0.01, *shown), 1e-3 * DEEPEST), 2 * max(1.0, *shown))
    axes.set_xlim(0, last)
    for threshold, name in THRESHOLDS.items():
        axes.axhline(threshold, color="#777777", linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(
            name, (0.995, threshold), xycoords=axes.get_yaxis_transform(), ha="right", va="bottom", fontsize=8
        )
    axes.set_xlabel(f"lag ({UNITS[level]}s)")
    axes.set_ylabel("share of the gradient that is left\n(h: of lag 0; other leaves: of lag 1)")
    axes.set_title(textwrap.fill(title, TITLE_WIDTH), loc="left", fontsize=10.5)
    clean(axes)
    figure.draw_without_rendering()  # the layout moves the axes, and labels are placed in pixels
    label_ends(axes, [(last, m[last - 1], leaf, colours[leaf]) for leaf, m in medians.items() if m[last - 1] > 0])
    return figure


def _draw_bands(axes, profile, colour):
    quartiles = list(profile.log_quantiles.values())
    bands = [(quartiles[0], quartiles[-1], 0.12)] if len(quartiles) > 1 else []
    bands += [] if profile.log_band is None else [(*profile.log_band, 0.35)]
    for lower, upper, alpha in bands:
        axes.fill_between(profile.lags, *map(_shares, (lower, upper)), color=colour, alpha=alpha, linewidth=0)


def _shares(logs):
    """exp, with gaps where nothing is left: a logarithmic axis has no zero."""
    return np.exp(np.where(logs > math.log(1e-300), logs, np.nan))
