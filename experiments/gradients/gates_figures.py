"""The pictures of gates.py, and what they have in common with its numbers."""

import numpy as np

from experiments.harness.figures import ON_LINES, finish, headline, panels
from experiments.harness.means import seeds_of
from experiments.harness.rows import where
from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS, SERIES, draw_band


VARIANTS = {
    "GRU": {"cell": "gru"},
    "LSTM, forget bias 0": {"cell": "lstm", "forget_bias": 0.0},
    "LSTM, forget bias 1": {"cell": "lstm", "forget_bias": 1.0},
    "LSTM, forget bias 3": {"cell": "lstm", "forget_bias": 3.0},
}
SHOWN = "LSTM, forget bias 1"
STAGES = ("before training", "after training")
FORCED_STEPS = 1000
EDGES = np.linspace(-10, 10, 81)  # of the histograms, in logits


def time_constant(f):
    """-1 / log f in steps: inf for 1, 0 for 0."""
    with np.errstate(divide="ignore"):
        return np.abs(1 / np.log(np.asarray(f, np.float64)))


def constants(results, variant: str, stage: str) -> np.ndarray:
    """The time constants of all units, a row a seed; one that is infinite came through JSON as null."""
    found = [r["stages"][stage]["time_constants"] for r in where(results, variant=variant)]
    return np.array([[np.inf if tau is None else tau for tau in row] for row in found])


def draw_forced(kept: dict, title: str):
    """The share of a memory left, against steps, by forget bias."""
    figure, (axes,) = panels((8.0, 4.4))
    ends, steps = [], np.arange(1, FORCED_STEPS + 1)
    axes.set(xscale="log", yscale="log", xlim=(1, FORCED_STEPS), ylim=(1e-4, 1.6))
    for (bias, shares), colour in zip(kept.items(), SERIES, strict=False):
        shares = np.array(shares)
        axes.plot(steps, shares, color=colour, linewidth=2)
        tau = float(time_constant(1 / (1 + np.exp(-np.float32(bias)))))
        name = f"bias {float(bias):g}"
        kept_for = "f = 1" if np.isinf(tau) else f"{tau:,.{0 if tau > 100 else 1}f} steps"
        if shares[-1] > 1e-3:
            ends.append((steps[-1], shares[-1], f"{name}: {kept_for}", colour))
        else:
            place, style = (np.flatnonzero(shares > 1e-3)[-1] + 1, 1e-3), {"color": colour, "fontsize": 8}
            axes.annotate(f"{name}\n{kept_for}", place, (5, 2), textcoords="offset points", **style)
    headline(figure, title)
    finish(axes, (), xlabel="steps", ylabel="share of c that is left (input gate 0)")
    figure.draw_without_rendering()  # the layout moves the axes, and labels are placed in pixels
    finish(axes, ends)
    return figure


def draw_constants(results, title: str):
    """Of each variant, the share of units with a longer time constant, before and after training."""
    figure, grid = panels((11.0, 6.6), 2, 2, sharex=True, sharey=True)
    words = {"xlabel": "time constant of the gate that keeps (steps)", "ylabel": "share of units\nwith a longer one"}
    for axes, variant in zip(grid, VARIANTS, strict=True):
        colours = ("0.45", COLOURS[VARIANTS[variant]["cell"]])
        for stage, colour, at in zip(STAGES, colours, (0.8, 0.25), strict=True):
            found = np.sort(constants(results, variant, stage), axis=1)
            share = 1 - np.arange(found.shape[1]) / found.shape[1]
            middle = np.exp(np.mean(np.log(np.clip(found, 1e-3, 1e6)), axis=0))
            axes.plot(middle, share, color=colour, linewidth=2)
            axes.fill_betweenx(share, found.min(0), np.clip(found.max(0), 0, 1e6), color=colour, alpha=0.2, linewidth=0)
            k, style = np.argmin(np.abs(share - at)), {"color": colour, "fontsize": 9, "bbox": ON_LINES}
            axes.annotate(stage, (middle[k], share[k]), (6, 2), textcoords="offset points", **style)
        finish(axes, title=variant, xscale="log", xlim=(0.05, 1000), ylim=(0, 1.02), **words)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.label_outer()
    headline(figure, title)
    return figure


def draw_gates(results, title: str):
    """Histograms of the gates of the LSTM with forget bias 1, before training dashed and after it solid."""
    figure, (axes,) = panels((8.0, 4.6))
    centres = (EDGES[1:] + EDGES[:-1]) / 2
    values = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
    for stage, style in zip(STAGES, ("--", "-"), strict=True):
        own = [r["stages"][stage]["gates"] for r in where(results, variant=SHOWN)]
        for name, colour in zip(own[0], SERIES, strict=False):
            label = name.split(".")[-1] if stage == STAGES[1] else None
            draw_band(axes, centres, [gates[name]["histogram"] for gates in own], colour, style, label)
    axes.plot([], [], "--", color="0.4", label=STAGES[0])
    axes.set_xticks([np.log(v / (1 - v)) for v in values], [f"{v:g}" for v in values])
    words = {"xlabel": "value of the gate (logit scale)", "ylabel": "share of values in a bin, the axis ends at 0.1"}
    finish(axes, xlim=(-8, 8), ylim=(0, 0.1), **words)
    axes.legend(frameon=False)
    headline(figure, title)
    return figure


def pictures(results, kept, size, titles: tuple[str, str, str]) -> list[Picture]:
    """All figures; titles: the finding of each."""
    constants = (
        f"Time constants of the units of networks of {size['hidden']} units, {seeds_of(size['seeds'])} (line: "
        f"geometric mean, band: range), {size['steps']} training steps by character; from "
        f"{results[0]['stages'][STAGES[0]]['values']:,} values of the gate in held-out text for each."
    )
    values = f"Values of every gate of the {SHOWN}; bands are the range over seeds."
    forced = "An LSTM's c with input gate 0 and a constant forget gate: its bias and time constant."
    return [
        Picture("gates_constants", draw_constants(results, titles[0]), constants),
        Picture("gates_values", draw_gates(results, titles[1]), values),
        Picture("gates_forced", draw_forced(kept, titles[2]), forced),
    ]
