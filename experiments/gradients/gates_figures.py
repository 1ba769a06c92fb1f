"""The pictures of gates.py, and what they have in common with its numbers."""

import numpy as np
from matplotlib.figure import Figure

from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS, SERIES, clean, draw_band, label_ends


VARIANTS = {
    "GRU": {"cell": "gru"},
    "LSTM, forget bias 0": {"cell": "lstm", "forget_bias": 0.0},
    "LSTM, forget bias 1": {"cell": "lstm", "forget_bias": 1.0},
    "LSTM, forget bias 3": {"cell": "lstm", "forget_bias": 3.0},
}
STAGES = ("before training", "after training")
FORCED_STEPS = 1000
EDGES = np.linspace(-10, 10, 81)  # of the histograms, in logits


def time_constant(f):
    """-1 / log f in steps: inf for 1, 0 for 0."""
    with np.errstate(divide="ignore"):
        return np.abs(1 / np.log(np.asarray(f, np.float64)))


def constants(results, variant: str, stage: str) -> np.ndarray:
    """The time constants of all units, a row a seed; one that is infinite came through JSON as null."""
    found = [r["stages"][stage]["time_constants"] for r in results if r["variant"] == variant]
    return np.array([[np.inf if tau is None else tau for tau in row] for row in found])


def draw_forced(kept: dict):
    """The share of a memory left, against steps, by forget bias."""
    figure = Figure(figsize=(8.0, 4.4), layout="constrained")
    axes, ends, steps = figure.add_subplot(), [], np.arange(1, FORCED_STEPS + 1)
    axes.set(xscale="log", yscale="log", xlim=(1, FORCED_STEPS), ylim=(1e-4, 1.6))
    axes.set(xlabel="steps", ylabel="share of c that is left (input gate 0)")
    for (bias, shares), colour in zip(kept.items(), SERIES, strict=False):
        shares = np.array(shares)
        axes.plot(steps, shares, color=colour, linewidth=2)
        tau = float(time_constant(1 / (1 + np.exp(-np.float32(bias)))))
        name = (
            f"bias {float(bias):g}: f = 1"
            if np.isinf(tau)
            else f"bias {float(bias):g}\n{tau:,.{0 if tau > 100 else 1}f} steps"
        )
        if shares[-1] > 1e-3:
            ends.append((steps[-1], shares[-1], name.replace("\n", ": "), colour))
        else:
            x = np.flatnonzero(shares > 1e-3)[-1] + 1
            axes.annotate(name, (x, 1e-3), (5, 2), textcoords="offset points", color=colour, fontsize=8)
    clean(axes)
    label_ends(axes, ends)
    return figure


def draw_constants(results):
    """Of each variant, the share of units with a longer time constant, before and after training."""
    figure = Figure(figsize=(11.0, 6.6), layout="constrained")
    for axes, variant in zip(figure.subplots(2, 2, sharex=True, sharey=True).flat, VARIANTS, strict=True):
        colours = ("0.45", COLOURS[VARIANTS[variant]["cell"]])
        for stage, colour, at in zip(STAGES, colours, (0.8, 0.25), strict=True):
            found = np.sort(constants(results, variant, stage), axis=1)
            share = 1 - np.arange(found.shape[1]) / found.shape[1]
            middle = np.exp(np.mean(np.log(np.clip(found, 1e-3, 1e6)), axis=0))
            axes.plot(middle, share, color=colour, linewidth=2)
            axes.fill_betweenx(share, found.min(0), np.clip(found.max(0), 0, 1e6), color=colour, alpha=0.2, linewidth=0)
            place = np.argmin(np.abs(share - at))
            axes.annotate(
                stage, (middle[place], share[place]), (6, 2), textcoords="offset points", color=colour, fontsize=9
            )
        axes.set(xscale="log", xlim=(0.05, 1000), ylim=(0, 1.02))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_title(variant, loc="left")
        clean(axes)
    for axes in figure.axes[2:]:
        axes.set_xlabel("time constant of the gate that keeps (steps)")
    for axes in figure.axes[::2]:
        axes.set_ylabel("share of units\nwith a longer one")
    return figure


def draw_gates(results):
    """Histograms of the values of every gate, before training above and after it below."""
    figure = Figure(figsize=(13.0, 5.6), layout="constrained")
    grid = figure.subplots(2, len(VARIANTS), sharex=True, sharey="row")
    centres = (EDGES[1:] + EDGES[:-1]) / 2
    colours = dict(zip(("forget", "update", "input", "output", "reset"), (*SERIES[:1], *SERIES), strict=False))
    for column, variant in enumerate(VARIANTS):
        own = [r["stages"] for r in results if r["variant"] == variant]
        for axes, stage in zip(grid[:, column], STAGES, strict=True):
            for place, name in enumerate(own[0][stage]["gates"]):
                heights = np.array([stages[stage]["gates"][name]["histogram"] for stages in own])
                gate = name.split(".")[-1]
                draw_band(axes, centres, heights, colours[gate])
                axes.text(0.02, 0.95 - 0.09 * place, gate, color=colours[gate], va="top", transform=axes.transAxes)
            values = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
            axes.set_xticks([np.log(v / (1 - v)) for v in values], [f"{v:g}" for v in values], rotation=60)
            axes.set_xlim(-8, 8)
            clean(axes)
        grid[0, column].set_title(variant, loc="left")
        grid[1, column].set_xlabel("value of the gate (logit scale)")
    for axes, stage in zip(grid[:, 0], STAGES, strict=True):
        axes.set_ylabel(f"{stage}:\nshare of values in a bin")
    return figure


def pictures(results, kept, size) -> list[Picture]:
    """All figures."""
    return [
        Picture("gates_constants", draw_constants(results), caption_of(results, size)),
        Picture("gates_values", draw_gates(results), "The values of every gate; bands are the range over seeds."),
        Picture(
            "gates_forced",
            draw_forced(kept),
            "An LSTM's c with input gate 0 and a constant forget gate: its bias and time constant.",
        ),
    ]


def caption_of(results, size) -> str:
    """What the picture of the time constants is made of."""
    return (
        f"Time constants of the units of networks of {size['hidden']} units, {size['seeds']} seed(s) (line: geometric "
        f"mean, band: range), {size['steps']} training steps by character; from "
        f"{results[0]['stages'][STAGES[0]]['values']:,} values of the gate in held-out text for each."
    )
