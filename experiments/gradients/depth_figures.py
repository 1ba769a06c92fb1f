"""The pictures of depth.py, and the kinds of network that they are of."""

import itertools

import numpy as np

from experiments.harness.figures import draw_log_band, finish, headline, log_ticks, panels
from experiments.harness.rows import where
from lm_jax.report.style import SERIES, draw_band, threshold


# units of a layer; what a layer adds where connections are dense
KINDS = {"feed-forward": (64, 12), "convolutional": (24, 4)}
CONNECTIONS = {"plain": SERIES[4], "residual": SERIES[0], "highway": SERIES[2], "dense": SERIES[3]}
INITS = ("uniform", "orthogonal")


def draw(draw_one, title: str, xlabel: str, ylabel: str):
    """A figure with a panel for each kind and initialisation, in which draw_one(axes, kind, init) gives line ends."""
    figure, grid = panels((12.0, 7.2), len(INITS), len(KINDS), sharex=True, sharey=True)
    for axes, (init, kind) in zip(grid, itertools.product(INITS, KINDS), strict=True):
        finish(axes, draw_one(axes, kind, init), f"{kind}, {init} weights", xlabel=xlabel, ylabel=ylabel)
        axes.label_outer()
    headline(figure, title)
    return figure


def draw_norms(found, depth: int, title: str):
    """The gradient in the deepest networks, by the number of layers below the last, relative to that of the last."""

    def draw_one(axes, kind, init):
        ends = []
        for connection, colour in CONNECTIONS.items():
            [network] = where(found, kind=kind, connection=connection, depth=depth, init=init)
            logs = np.asarray(network["log_norms"], float)[:, ::-1]
            middle = draw_log_band(axes, np.arange(depth), logs - logs[:, :1], colour, alpha=0.2)
            ends.append((depth - 1, float(middle[-1]), connection, colour))
        axes.set(yscale="log", ylim=(1e-24, 1e3), xlim=(0, depth - 1))
        return ends

    return draw(draw_one, title, "layers below the last", "norm of the gradient,\nrelative to the last layer")


def draw_losses(found, depths, unigram: float, title: str):
    """The loss after training, by depth."""

    def draw_one(axes, kind, init):
        ends = []
        for connection, colour in CONNECTIONS.items():
            networks = where(found, kind=kind, connection=connection, init=init)  # by depth
            mean = draw_band(axes, depths, np.array([n["valid_loss"] for n in networks], float).T, colour, "o-")
            ends.append((depths[-1], float(mean[-1]), connection, colour))
        threshold(axes, unigram, "unigrams")
        log_ticks(axes, depths, base=2)
        return ends

    return draw(draw_one, title, "layers", "validation loss after training\n(nats per character)")
