"""The pictures of exploding_gradients.py."""

import itertools

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.patheffects import Normal, Stroke

from experiments.harness.figures import finish, panels
from experiments.harness.rows import where
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES, threshold


SCALES = (1.0, 2.0)
RATES = (1.0, 5.0, 20.0)
LOSS = "training loss (nats per character)"


def draw_losses(found, uniform: float):
    """A panel a learning rate: the loss by step, a colour a way of clipping, dashed for larger recurrent weights.

    Lines are medians over seeds, bands their range.
    """
    colours = dict(zip(dict.fromkeys(f["clipping"] for f in found), (SERIES[4], SERIES[0], SERIES[2]), strict=True))
    figure, grid = panels((12.0, 4.4), 1, len(RATES), sharey=True)
    for axes, rate in zip(grid, RATES, strict=True):
        for (clipping, colour), scale in itertools.product(colours.items(), SCALES):
            own = where(found, learning_rate=rate, clipping=clipping, scale=scale)
            length = min(len(f["losses"]) for f in own)
            losses = np.array([[np.inf if x is None else x for x in f["losses"][:length]] for f in own])
            steps = np.arange(1, length + 1)
            axes.plot(steps, np.median(losses, axis=0), "-" if scale == 1 else "--", color=colour, linewidth=1.3)
            axes.fill_between(steps, losses.min(0), losses.max(0), color=colour, alpha=0.12, linewidth=0)
        threshold(axes, uniform, "uniform")
        finish(axes, title=f"learning rate {rate:g}", yscale="log", xlabel="step")
    grid[0].set_ylabel(LOSS)
    handles = [grid[0].plot([], [], color=colour, label=name)[0] for name, colour in colours.items()]
    handles += [grid[0].plot([], [], "--", color="0.4", label="recurrent weights x 2")[0]]
    figure.legend(handles=handles, loc="outside upper right", ncols=4, frameon=False)
    return figure


def draw_cliff(found):
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
    return figure


def draw_recovery(found):
    """Loss by step, a line a seed: before the checkpoint, after it without clipping, and after it with."""
    figure, (axes,) = panels((7.5, 4.2))
    at, colours = len(found[0]["before"]["losses"]), (SERIES[0], SERIES[4], SERIES[2])
    for one, (name, colour) in itertools.product(found, zip(("before", "without", "recovered"), colours, strict=True)):
        losses = np.array([np.nan if x is None else x for x in one[name]["losses"]])
        steps = np.arange(1, len(losses) + 1) + (0 if name == "before" else at)
        axes.plot(steps, losses, color=colour, linewidth=1.2)
        if np.isnan(losses[-1]):
            axes.plot(steps[-2], losses[-2], "x", color=colour, markersize=8)
    axes.axvline(at + 0.5, color="0.4", linewidth=0.8, linestyle=":")
    finish(axes, yscale="log", xlabel="step", ylabel=LOSS)
    texts = (
        (0.09, 0.14, "learning rate 5, norm clipped", "left"),
        (0.47, 0.6, "learning rate 20, no clipping\n(cross: then not a number)", "right"),
        (0.52, 0.14, "from the checkpoint on, as before it", "left"),
    )
    for (x, y, text, side), colour in zip(texts, colours, strict=True):
        axes.text(x, y, text, color=colour, ha=side, fontsize=9, transform=axes.transAxes)
    return figure


def pictures(found, descents, recovered, uniform: float) -> list[Picture]:
    """All figures."""
    losses = f"Median of {len(recovered)} seed(s), bands: their range; a line ends where the loss is no number."
    cliff = (
        "One recurrent unit, 50 steps: two descents from the star, 80 steps each; the one without clipping leaves "
        "the right picture, and stays where it lands."
    )
    recovery = "relu RNNs, a line a seed, that lose their training to large steps, and get it back from a checkpoint."
    return [
        Picture("losses", draw_losses(found, uniform), losses),
        Picture("cliff", draw_cliff(descents), cliff),
        Picture("recovery", draw_recovery(recovered), recovery),
    ]
