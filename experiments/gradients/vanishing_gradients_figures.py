"""The pictures of vanishing_gradients.py, and the networks and horizons that they are of."""

import itertools

import numpy as np

from experiments.harness.figures import draw_log_band, finish, panels
from experiments.harness.rows import where
from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS, SERIES, threshold


CLAIM = {"RNN": 7, "GRU": None, "LSTM": 100}
SINGLE = {
    "RNN": {"cell": "rnn"},
    "GRU": {"cell": "gru"},
    "LSTM": {"cell": "lstm"},
    "LSTM, forget bias 0": {"cell": "lstm", "forget_bias": 0.0},
    "LSTM, forget bias 3": {"cell": "lstm", "forget_bias": 3.0},
    "RNN, identity": {"cell": "rnn", "init": "identity"},
    "RNN, orthogonal x 0.5": {"cell": "rnn", "init_scale": 0.5},
    "RNN, orthogonal x 1.5": {"cell": "rnn", "init_scale": 1.5},
    "RNN, relu": {"cell": "rnn", "nonlinearity": "relu"},
    "RNN, relu, identity": {"cell": "rnn", "nonlinearity": "relu", "init": "identity"},
}
STACKS = {
    f"{cell.upper()}, {layers} layers{words}": {"cell": cell, "layers": layers, "connection": words[2:] or "plain"}
    for cell in ("rnn", "lstm")
    for layers, words in ((2, ""), (3, ""), (4, ""), (4, ", residual"), (4, ", highway"))
}
STAGES = ("at initialisation", "early", "after training")
DEFINITIONS = {  # (leaf of the top layer's carry, field), or a field of the network
    ("h", "horizon_10"): "gradient by h below 10 %",
    ("h", "horizon_1"): "by h below 1 %",
    ("h", "mass_lag"): "by h, 95 % of its norm",
    ("all", "horizon_10"): "by the whole carry below 10 %",
    ("all", "horizon_1"): "by the whole carry below 1 %",
    ("all", "mass_lag"): "by the whole carry, 95 % of its norm",
    ("", "functional_horizon"): "functional: 1 % of cross-entropy",
}
INITIALISATIONS = {
    "RNN": SERIES[0],
    "RNN, identity": SERIES[5],
    "RNN, orthogonal x 0.5": SERIES[3],
    "RNN, orthogonal x 1.5": SERIES[4],
    "RNN, relu": SERIES[6],
    "RNN, relu, identity": SERIES[2],
}
FORGET_BIASES = {"LSTM, forget bias 0": SERIES[4], "LSTM": SERIES[1], "LSTM, forget bias 3": SERIES[3]}


def top(results, variant, stage, leaf="h"):
    """The profiles of the top layer of all seeds."""
    own = where(results, variant=variant, stage=stage)
    return [where(r["profiles"], leaf=leaf, layer=r["layers"] - 1)[0] for r in own]


def draw_curves(results, variants: dict[str, str], unit: str, leaf: str = "h"):
    """A panel for the first and one for the last stage: the median of r by lag, the mean and the range over seeds."""
    figure, grid = panels((12.0, 4.6), 1, 2, sharey=True)
    stages = (STAGES[0], STAGES[2])
    longest = min(len(p["log_median"]) for variant in variants for p in top(results, variant, stages[0], leaf))
    lags = np.arange(1, longest + 1)
    for axes, stage in zip(grid, stages, strict=True):
        ends = []
        for variant, colour in variants.items():
            logs = [p["log_median"][:longest] for p in top(results, variant, stage, leaf)]
            logs = [[-np.inf if value is None else value for value in log] for log in logs]  # null in JSON
            ends.append((longest, float(draw_log_band(axes, lags, logs, colour)[-1]), variant, colour))
        for share in (0.1, 0.01):
            threshold(axes, share, f"{share:.0%}", x=0.93)
        limits = {"yscale": "log", "ylim": (1e-8, 5), "xlim": (0, longest)}
        finish(axes, ends, stage, xlabel=f"lag ({unit}s back)", **limits)
    base = "that by the output" if leaf == "h" else "that one step back"
    what = "the whole state" if leaf == "all" else leaf
    grid[0].set_ylabel(f"gradient by {what}, relative to\n{base} (median)")
    return figure


def measured(results, variant: str, stage: str, leaf: str, field: str) -> list:
    """A number of every seed; None for a horizon beyond what was measured."""
    own = top(results, variant, stage, leaf) if leaf else where(results, variant=variant, stage=stage)
    return [found[field] for found in own]


def draw_horizons(results, size):
    """Every definition of horizon for RNN, GRU and LSTM before, early in and after training, beside the claim."""
    figure, grid = panels((12.0, 4.8), 1, len(CLAIM), sharey=True)
    largest = max(size.max_lag[0], size.contexts[-1])
    for axes, (variant, claim) in zip(grid, CLAIM.items(), strict=True):
        colour = COLOURS[variant.lower()]
        marks = ((-0.2, STAGES[0], "none"), (0.0, STAGES[1], "0.75"), (0.2, STAGES[2], colour))
        for (place, definition), (offset, stage, fill) in itertools.product(enumerate(DEFINITIONS), marks):
            style = {"color": colour, "markerfacecolor": fill, "markersize": 6}
            for value in measured(results, variant, stage, *definition):
                axes.plot(value or largest * 1.25, place + offset, "o" if value else ">", **style)
        if claim:
            axes.axvline(claim, color="0.4", linewidth=1, linestyle="--")
            axes.annotate(f"claim: {claim}", (claim, -0.55), (3, 0), textcoords="offset points", fontsize=8, va="top")
        axes.set_yticks(range(len(DEFINITIONS)), DEFINITIONS.values())
        limits = {"xscale": "log", "xlim": (0.8, largest * 1.5), "ylim": (len(DEFINITIONS) - 0.5, -0.6)}
        finish(axes, xlabel=f"horizon ({size.unit}s)", **limits)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_title(variant, loc="left", color=colour)
    return figure


def pictures(results, size) -> list[Picture]:
    """All figures; those of variants that this scale does not have are left out."""
    seeds = f"Lines: mean over {size.seeds} seeds; bands: their range."
    marks = "Hollow: at initialisation, grey: early, filled: after training; a mark a seed, > beyond what was measured."
    three = {variant: COLOURS[variant.lower()] for variant in CLAIM}
    found = [
        Picture("vanishing_gradients", draw_curves(results, three, size.unit, "all"), f"By the whole carry. {seeds}"),
        Picture("by_h", draw_curves(results, three, size.unit), f"By h alone: of the LSTM with c held. {seeds}"),
        Picture("horizons", draw_horizons(results, size), marks),
    ]
    if not SINGLE.keys() | STACKS.keys() <= size.variants.keys():
        return found
    curves = {
        "initialisations": (INITIALISATIONS, "h", "The simple RNN by nonlinearity and initialisation."),
        "forget_biases": (FORGET_BIASES, "c", "The gradient by the LSTM's memory c, relative to one step back."),
    }
    for cell in ("RNN", "LSTM"):
        names = [cell, *(name for name in STACKS if name.startswith(cell))]
        stack = dict(zip(names, SERIES, strict=False))
        curves[f"stacks_{cell.lower()}"] = (stack, "h", f"Stacks of {cell} layers: the top layer's h.")
    for name, (variants, leaf, caption) in curves.items():
        found.append(Picture(name, draw_curves(results, variants, size.unit, leaf), f"{caption} {seeds}"))
    return found
