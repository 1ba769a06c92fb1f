"""The pictures of exploding_gradients.py."""

import itertools

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.patheffects import Normal, Stroke

from experiments.harness.figures import finish, headline, panels
from experiments.harness.rows import where
from lm_jax.report.style import SERIES, label_ends, threshold


SCALES = (1.0, 2.0)
RATES = (1.0, 5.0, 20.0)
LOSS = "training loss (nats per character)"
NORM, VALUE = 0.25, 0.01
FREE, CLIPPED, ENTRIES = "no clipping", f"norm at {NORM}", f"entries at {VALUE}"
COLOURS = {FREE: SERIES[4], CLIPPED: SERIES[0]}
TOP = 100  # nats: where the picture of recovery ends


def draw_losses(found, uniform: float, title: str):
    """A panel a learning rate: the loss by step without clipping and with the norm clipped.

    Lines are medians over seeds, bands their range; recurrent weights start orthogonal.
    """
    figure, grid = panels((12.0, 4.4), 1, len(RATES), sharey=True)
    ends = []
    for axes, rate in zip(grid, RATES, strict=True):
        ends.append([])
        for clipping, colour in COLOURS.items():
            own = where(found, learning_rate=rate, clipping=clipping, scale=1.0)
            length = min(len(f["losses"]) for f in own)
            losses = np.array([[np.inf if x is None else x for x in f["losses"][:length]] for f in own])
            steps, middle = np.arange(1, length + 1), np.median(losses, axis=0)
            axes.plot(steps, middle, color=colour, linewidth=1.5)
            axes.fill_between(steps, losses.min(0), losses.max(0), color=colour, alpha=0.15, linewidth=0)
            ends[-1].append((length, float(np.median(middle[-20:])), clipping, colour))
        threshold(axes, uniform, "uniform model", x=0.62)
        finish(axes, title=f"learning rate {rate:g}", yscale="log", ylim=(1, 1000), xlabel="step")
        axes.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
    grid[0].set_ylabel(LOSS)
    headline(figure, title)
    figure.draw_without_rendering()  # the layout moves the axes, and labels are placed in pixels
    for axes, of_axes in zip(grid, ends, strict=True):
        label_ends(axes, of_axes)
    return figure


def draw_cliff(found, finding: str):
    """The loss over the two parameters, from afar and near the start, and the two descents."""
    figure, grid = panels((11.5, 4.6), 1, 2)
    outline = [Stroke(linewidth=3.5, foreground="white"), Normal()]
    for axes, (place, title) in zip(grid, {"far": "from afar", "near": "near the start"}.items(), strict=True):
        across, up, loss = (found[place][name] for name in ("w", "b", "loss"))
        image = axes.pcolormesh(across, up, loss, cmap="gray", norm=LogNorm(1e-6, 0.5), rasterized=True)
        for name, label, colour in (("free", "no clipping", SERIES[4]), ("clipped", "norm clipped", SERIES[0])):
            w, b = np.array(found[name]).T
            axes.plot(w, b, "o-", color=colour, markersize=4, label=label, linewidth=1.5, path_effects=outline)
        axes.plot(*found["free"][0], "*", color="white", markeredgecolor="black", markersize=14)
        axes.set(xlim=(across[0], across[-1]), ylim=(up[0], up[-1]), xlabel="recurrent weight w")
        axes.set_title(title, loc="left")
    grid[0].set_ylabel("bias b")
    figure.colorbar(image, ax=figure.axes, label="loss after 50 steps (squared error)")
    grid[0].legend(loc="upper left")
    headline(figure, finding)
    return figure


def draw_healed(found, title: str):
    """The validation loss by step, a line a seed, and a tick where a run went back to a good state."""
    figure, (axes,) = panels((8.0, 4.2))
    for one, colour in zip(found, SERIES, strict=False):
        steps, losses = np.array([[step, np.nan if x is None else x] for step, x in one["validations"]]).T
        axes.plot(steps, losses, "o-", color=colour, markersize=3, linewidth=1.2, label=f"seed {one['seed']}")
        backs = [incident["step"] for incident in one["incidents"] if incident["back_to"] is not None]
        axes.plot(
            backs,
            np.full(len(backs), 0.96 - 0.04 * one["seed"]),
            "x",
            color=colour,
            transform=axes.get_xaxis_transform(),
        )
    finish(axes, xlabel="step", ylabel="validation loss (nats per character)")
    axes.set_xlim(left=0)
    axes.legend(loc="center right", title="crosses: back to a good state")
    headline(figure, title)
    return figure


def draw_recovery(found, title: str):
    """Loss by step, a line a seed, up to TOP: before the checkpoint, after it without clipping, and after it with."""
    figure, (axes,) = panels((8.0, 4.4))
    at, colours = len(found[0]["before"]["losses"]), (SERIES[0], SERIES[4], SERIES[2])
    for one, (name, colour) in itertools.product(found, zip(("before", "without", "recovered"), colours, strict=True)):
        losses = np.array([np.nan if x is None else x for x in one[name]["losses"]])
        steps = np.arange(1, len(losses) + 1) + (0 if name == "before" else at)
        axes.plot(steps, losses, color=colour, linewidth=1.2)
        if np.isnan(losses[-1]):
            axes.plot(steps[-1], TOP * 0.9, "x", color=colour, markersize=9, markeredgewidth=2)
    axes.axvline(at + 0.5, color="0.4", linewidth=0.8, linestyle=":")
    limits = {"yscale": "log", "ylim": (1, TOP), "xlabel": "step", "ylabel": f"{LOSS},\nthe axis ends at {TOP}"}
    finish(axes, **limits)
    axes.set_yticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes.minorticks_off()
    texts = (
        (0.1, 0.37, "learning rate 5, norm clipped", "left"),
        (0.47, 0.8, "learning rate 20, no clipping:\nnot a number (crosses)", "right"),
        (0.53, 0.37, "from the checkpoint on, clipped again", "left"),
    )
    for (x, y, text, side), colour in zip(texts, colours, strict=True):
        axes.text(x, y, text, color=colour, ha=side, fontsize=9.5, transform=axes.transAxes)
    headline(figure, title)
    return figure
