"""The pictures of depth.py, and the kinds of network that they are of."""

import itertools

import numpy as np
from matplotlib.figure import Figure

from lm_jax.report.style import SERIES, clean, draw_band, label_ends, threshold


KINDS = {
    "feed-forward": (64, 12),
    "convolutional": (24, 4),
}  # units of a layer; what a layer adds where connections are dense

CONNECTIONS = dict(
    zip(("plain", "residual", "highway", "dense"), (SERIES[4], SERIES[0], SERIES[2], SERIES[3]), strict=True)
)

INITS = ("uniform", "orthogonal")


def panels(draw_one, xlabel: str, ylabel: str):
    """A figure with a panel for each kind and initialisation, in which draw_one(axes, kind, init) gives line ends."""
    figure = Figure(figsize=(12.0, 7.0), layout="constrained")
    grid = figure.subplots(len(INITS), len(KINDS), sharex=True, sharey=True)
    for (row, init), (column, kind) in itertools.product(enumerate(INITS), enumerate(KINDS)):
        axes = grid[row][column]
        ends = draw_one(axes, kind, init)
        axes.set_title(f"{kind}, {init} weights", loc="left")
        clean(axes)
        label_ends(axes, ends)
        if row == len(INITS) - 1:
            axes.set_xlabel(xlabel)
        if column == 0:
            axes.set_ylabel(ylabel)
    return figure


def draw_norms(found, depth: int):
    """The gradient by layer in the deepest networks."""

    def draw_one(axes, kind, init):
        ends = []
        for connection, colour in CONNECTIONS.items():
            logs = np.array(one(found, kind, connection, depth, init)["log_norms"], float)
            x, norms, middle = np.arange(1, depth + 1), np.exp(logs), np.exp(logs.mean(0))
            axes.plot(x, middle, color=colour, linewidth=1.8)
            axes.fill_between(x, norms.min(0), norms.max(0), color=colour, alpha=0.2, linewidth=0)
            ends.append((1, float(middle[0]), connection, colour))
        axes.set(yscale="log", ylim=(1e-26, 10), xlim=(depth, 1))
        return ends

    return panels(draw_one, "layer (from the last down to the first)", "norm of the gradient\nby the layer's output")


def draw_losses(found, depths, unigram: float):
    """The loss after training, by depth."""

    def draw_one(axes, kind, init):
        ends = []
        for connection, colour in CONNECTIONS.items():
            losses = np.array([one(found, kind, connection, depth, init)["valid_loss"] for depth in depths], float)
            mean = draw_band(axes, depths, losses.T, colour, "o-")
            ends.append((depths[-1], float(mean[-1]), connection, colour))
        threshold(axes, unigram, "unigrams")
        axes.set_xscale("log", base=2)
        axes.set_xticks(depths, [str(depth) for depth in depths])
        return ends

    return panels(draw_one, "layers", "validation loss after training\n(nats per character)")


def one(found, kind, connection, depth, init) -> dict:
    """The part of one network."""
    wanted = {"kind": kind, "connection": connection, "depth": depth, "init": init}
    return next(f for f in found if all(f[name] == value for name, value in wanted.items()))
