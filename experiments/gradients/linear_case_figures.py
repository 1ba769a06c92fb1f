"""The pictures of linear_case.py, and the networks that they are of."""

from typing import NamedTuple

import numpy as np

from experiments.harness.figures import headline, panels
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES, clean, label_ends


RADII = (0.9, 1.0, 1.1)
KINDS = ("rotation", "symmetric", "random")
NON_NORMAL = "non-normal"
GAMMA = {"identity": 1.0, "tanh": 1.0, "sigmoid": 0.25}
SMALL = 0.01
LEFT = "gradient left, r(l) = G[i, i-l] / G[i, i]"


class Network(NamedTuple):
    """One recurrence: its kind of W, f, lambda of W (under tanh or sigmoid gamma * sigma), and the size of its inputs.

    Those of a linear network must not saturate the softmax as its states grow, and do not matter otherwise.
    """

    kind: str
    nonlinearity: str
    scale: float
    inputs: float = 1e-9


def by_eigenvalues(found, title: str):
    """Figure: r against the lag for three kinds of W, beside lambda^l."""
    figure, grid = panels((11, 4.2), 1, 3, sharey=True)
    ends = []
    for axes, kind in zip(grid, KINDS, strict=True):
        ends.append([])
        for colour, radius in zip(SERIES, RADII, strict=False):
            curve = found[Network(kind, "identity", radius)]
            lags = draw(axes, curve, colour)
            axes.plot(lags, radius**lags, "--", color="black", linewidth=1)
            ends[-1].append((lags[-1], np.exp(curve["log_median"][-1]), f"λ = {radius}", colour))
        finish(axes, f"{kind} W", lags)
    name_ends(grid, ends, LEFT, title)
    caption = "Linear networks: median over texts and predictions, band from 5 % to 95 %, beside λ^l (dashed)."
    return Picture("eigenvalues", figure, caption)


def non_normal(found, title: str):
    """Figure: r grows first where W is not normal."""
    figure, (axes,) = panels((7.4, 4.7))
    labels = []
    curves = [curve for network, curve in found.items() if network.kind == NON_NORMAL]
    for colour, name, curve in zip(SERIES, ("linear", "tanh"), curves, strict=False):
        lags = draw(axes, curve, colour)
        labels.append((lags[-1], np.exp(curve["log_median"][-1]), name, colour))
    radius, sigma = curve["spectral_radius"], curve["largest_singular_value"]
    axes.plot(lags, np.exp(curve["log_norm_of_power"]), ":", color="black", linewidth=1)
    axes.plot(lags, radius**lags, "--", color="black", linewidth=1)
    axes.plot(lags, sigma**lags, "--", color="grey", linewidth=1)
    finish(axes, f"W = 0.7 I + 0.6 S: every |λ| is {radius:.2f}, σ is {sigma:.2f}", lags)
    top = 1e3 * np.exp(max(curve["log_norm_of_power"]))
    axes.set_ylim(radius ** lags[-1] / 10, top)
    labels.append((lags[-1], np.exp(curve["log_norm_of_power"][-1]), r"$\Vert W^l \Vert_2$", "black"))
    labels.append((lags[-1], radius ** lags[-1], r"$\lambda^l$", "black"))
    labels.append((min(lags[-1], np.log(top) / np.log(sigma)), top / 10, r"$\sigma^l$", "grey"))
    name_ends([axes], [labels], LEFT, title)
    caption = "A non-normal W: eigenvalues say what happens in the end, singular values what may happen before."
    return Picture("non_normal", figure, caption)


def bound(found, title: str):
    """Figure: the largest r that was seen, beside (gamma sigma)^l."""
    figure, grid = panels((10.5, 4.4), 1, 2, sharey=True)
    ends = []
    for axes, nonlinearity in zip(grid, ("tanh", "sigmoid"), strict=True):
        ends.append([])
        for colour, scale in zip(SERIES, RADII, strict=False):
            for style, inputs in (("-", SMALL), (":", 1.0)):
                curve = found[Network("rotation", nonlinearity, scale, inputs)]
                lags = np.arange(len(curve["log_largest"]))
                axes.plot(lags, np.exp(curve["log_largest"]), style, color=colour, linewidth=1.6)
                name = f"σ = {curve['largest_singular_value']:.1f}" + (", inputs of 1" if inputs == 1.0 else "")
                ends[-1].append((lags[-1], np.exp(curve["log_largest"][-1]), name, colour))
            axes.plot(lags, scale**lags, "--", color="black", linewidth=0.8)
        finish(axes, f"{nonlinearity}, 1/γ = {1 / GAMMA[nonlinearity]:g}", lags)
    name_ends(grid, ends, "largest gradient left, max r(l)", title)
    caption = (
        "The largest gradient over all texts and predictions beside the bound (γσ)^l (dashed), W a scaled rotation: "
        "with inputs of size 0.01 (solid) and of size 1 (dotted)."
    )
    return Picture("bound", figure, caption)


def draw(axes, curve, colour):
    """The median and the band of r; returns the lags."""
    lags = np.arange(len(curve["log_median"]))
    axes.fill_between(lags, np.exp(curve["log_lower"]), np.exp(curve["log_upper"]), color=colour, alpha=0.2, lw=0)
    axes.plot(lags, np.exp(curve["log_median"]), color=colour, linewidth=1.6)
    return lags


def finish(axes, title, lags):
    """Titles, limits with room for labels, and grid."""
    axes.set_title(title, fontsize=10)
    axes.set(yscale="log", xlabel="steps back, l", xlim=(0, lags[-1]))
    clean(axes)


def name_ends(grid, ends, ylabel, title):
    """The finding above, what the vertical axis is, and names at line ends once the limits of all panels are known."""
    grid[0].set_ylabel(ylabel)
    headline(grid[0].figure, title)
    grid[0].figure.draw_without_rendering()  # the layout moves the axes, and labels are placed in pixels
    for axes, labels in zip(grid, ends, strict=True):
        label_ends(axes, labels)
