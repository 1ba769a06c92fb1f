"""Is the gradient that is measured the one that mathematics gives, and what decides whether it vanishes?

    python experiments/linear_case.py             half a minute on 2 CPU cores
    python experiments/linear_case.py --smoke     seconds

With h_t = W h_{t-1} + U x_t the gradient of a loss by the state l steps back is (W^T)^l dJ_i/dh_i, in closed form.
Here W is a rotation times lambda, a symmetric matrix (of orthogonal eigenvectors), or a random one, with the largest
|eigenvalue| lambda below, at and above 1; all of it in float64, three draws of weights and texts.

Then the two ways in which lambda misleads. A non-normal W = 0.7 I + 0.6 S, S a shift in blocks of 8 units, has no
eigenvalue but 0.7, yet its largest singular value is near 1.3, and gradients grow before they vanish. And for
h_t = f(W h_{t-1} + U x_t) the bound of Pascanu et al. (2013) is on the largest singular value: ||dh_i/dh_j|| is at most
(gamma sigma)^l, gamma the largest derivative of f, so that gradients must vanish where sigma < 1/gamma: 1 for tanh, 4
for the logistic sigmoid. W is a rotation again, with inputs so small that f stays where it is steepest, and of size 1.

Expected: measured and closed form agree to 1e-10; the norm is lambda^l exactly for the rotation, and falls or grows
by lambda a step in the end for the others; the non-normal gradient first grows; no gradient is above the bound, and a
nonlinear network with gamma sigma above 1 may still lose its gradient, as the condition suffices without being needed.
Writes linear_case.json, .csv, three figures and report.html into --out. A run is short, and starts anew each time.
"""

import argparse
import itertools
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import lm_jax
from lm_jax.analysis import gradient_flow, log_ratios
from lm_jax.cells import RNNParams
from lm_jax.models.recurrent import RecurrentLMParams
from lm_jax.report.study import Picture, write_study
from lm_jax.report.style import SERIES, clean, label_ends


RADII = (0.9, 1.0, 1.1)
KINDS = ("rotation", "symmetric", "random")
NON_NORMAL = "non-normal"
GAMMA = {"identity": 1.0, "tanh": 1.0, "sigmoid": 0.25}
VOCAB_SIZE = 20
BLOCK = 8
SMALL = 0.01


class Setting(NamedTuple):
    """Sizes of a run; lags are measured for predictions that have all of them."""

    units: int
    steps: int
    lags: int
    texts: int
    seeds: int


class Network(NamedTuple):
    """One recurrence: its kind of W, f, lambda of W (under tanh or sigmoid gamma * sigma), and the size of its inputs.

    Those of a linear network must not saturate the softmax as its states grow, and do not matter otherwise.
    """

    kind: str
    nonlinearity: str
    scale: float
    inputs: float = 1e-9


def recurrent_matrix(network, units, generator):
    """W [H, H], applied to rows."""
    rotation = np.linalg.qr(generator.normal(size=(units, units)))[0]
    if network.kind == "rotation":
        return network.scale / GAMMA[network.nonlinearity] * rotation
    if network.kind == "symmetric":
        signs = generator.choice([-1, 1], size=units)
        return rotation @ np.diag(network.scale * np.linspace(0.5, 1, units) * signs) @ rotation.T
    if network.kind == "random":
        drawn = generator.normal(size=(units, units))
        return drawn * network.scale / np.max(np.abs(np.linalg.eigvals(drawn)))
    return np.kron(np.eye(units // BLOCK), network.scale * np.eye(BLOCK) + 0.6 * np.eye(BLOCK, k=1))


def measure(network, setting, seed):
    """(log r [lags + 1, values], largest deviation from the closed form or None, W) of one draw."""
    generator = np.random.default_rng(seed)
    units, linear = setting.units, network.nonlinearity == "identity"
    w_h = recurrent_matrix(network, units, generator)
    model = lm_jax.recurrent_lm(VOCAB_SIZE, lm_jax.rnn(units, units, nonlinearity=network.nonlinearity))
    # the states of a sigmoid network start where f is steepest, as those of tanh do
    bias = -0.5 * w_h.sum(0) if network.nonlinearity == "sigmoid" else np.zeros(units)
    params = RecurrentLMParams(
        embedding=network.inputs * generator.normal(size=(VOCAB_SIZE, units)),
        cell=RNNParams(np.eye(units), w_h, bias),
        w_out=generator.normal(size=(units, VOCAB_SIZE)) / np.sqrt(units),
        b_out=0.1 * generator.normal(size=VOCAB_SIZE),
    )
    carry = np.full((setting.texts, units), 0.5 if network.nonlinearity == "sigmoid" else 0.0)
    tokens = generator.integers(VOCAB_SIZE, size=(setting.steps + 1, setting.texts))
    flow = gradient_flow(model, jax.tree.map(jnp.asarray, params), tokens, carry=jnp.asarray(carry))
    ratios = [np.zeros((setting.texts, setting.steps - setting.lags))]
    for lag in range(1, setting.lags + 1):
        ratios.append(log_ratios(flow, lag)[:, setting.lags - lag :])
    deviation = closed_form_deviation(flow, params, tokens) if linear else None
    return np.array([r.ravel() for r in ratios]), deviation, w_h


def closed_form_deviation(flow, params, tokens):
    """The largest |measured / closed form - 1| of G[i, j] = ||(p_i - 1_i) U^T (W^T)^(i-j)||, over all i > j."""
    h, g = np.zeros((tokens.shape[1], len(params.cell.w_h))), []
    for token, target in itertools.pairwise(tokens):
        h = params.embedding[token] + h @ params.cell.w_h
        p = np.exp(h @ params.w_out + params.b_out)
        g.append((p / p.sum(-1, keepdims=True) - np.eye(VOCAB_SIZE)[target]) @ params.w_out.T)
    worst, row = 0.0, np.array(g)
    for lag in range(1, len(g)):
        row = row[-(len(g) - lag) :] @ params.cell.w_h.T  # of the predictions i = lag .. T-1
        log_expected = np.log(np.linalg.norm(row, axis=-1)).T
        measured = np.diagonal(flow.carry[0]["h"], -lag, axis1=1, axis2=2)
        worst = max(worst, np.max(np.abs(np.expm1(measured - log_expected))))
    return float(worst)


def study(network, setting):
    """What is reported of a network, over all draws."""
    draws = [measure(network, setting, seed) for seed in range(setting.seeds)]
    logs = np.concatenate([ratios for ratios, _, _ in draws], axis=1)
    w_h = draws[0][2]
    radii = [np.max(np.abs(np.linalg.eigvals(w))) for _, _, w in draws]
    sigmas = [np.linalg.norm(w, 2) for _, _, w in draws]
    bounds = np.log(GAMMA[network.nonlinearity] * np.array(sigmas))
    lags = np.arange(setting.lags + 1)
    above = max(np.max((r - (lags * b)[:, None])[1:]) for (r, _, _), b in zip(draws, bounds, strict=True))
    median, late = np.median(logs, axis=1), lags >= setting.lags // 2
    powers = [np.linalg.norm(np.linalg.matrix_power(w_h, lag), 2) for lag in lags]
    return {
        "kind": network.kind,
        "nonlinearity": network.nonlinearity,
        "inputs": network.inputs,
        "spectral_radius": float(np.mean(radii)),
        "largest_singular_value": float(np.mean(sigmas)),
        "gamma_sigma": float(np.exp(np.mean(bounds))),
        "deviation": None if draws[0][1] is None else max(d for _, d, _ in draws),
        "late_factor": float(np.exp(np.polyfit(lags[late], median[late], 1)[0])),
        "peak": float(np.exp(median.max())),
        "peak_lag": int(median.argmax()),
        "largest_over_bound": float(np.exp(above)),
        "values": logs.shape[1],
        "log_median": median,
        "log_lower": np.quantile(logs, 0.05, axis=1),
        "log_upper": np.quantile(logs, 0.95, axis=1),
        "log_largest": logs.max(axis=1),
        "log_norm_of_power": np.log(powers),
    }


def by_eigenvalues(found):
    """Figure: r against the lag for three kinds of W, beside lambda^l."""
    figure = Figure(figsize=(11, 3.9), layout="constrained")
    panels = {}
    for axes, kind in zip(figure.subplots(1, 3, sharey=True), KINDS, strict=True):
        axes.set_yscale("log")
        labels = panels[axes] = []
        for colour, radius in zip(SERIES, RADII, strict=False):
            curve = found[Network(kind, "identity", radius)]
            lags = draw(axes, curve, colour)
            axes.plot(lags, radius**lags, "--", color="black", linewidth=1)
            labels.append((lags[-1], np.exp(curve["log_median"][-1]), f"λ = {radius}", colour))
        finish(axes, f"{kind} W", lags)
    for axes, labels in panels.items():
        label_ends(axes, labels)
    figure.axes[0].set_ylabel("gradient left, r(l) = G[i, i-l] / G[i, i]")
    caption = "Linear networks: median over texts and predictions, band from 5 % to 95 %, beside λ^l (dashed)."
    return Picture("eigenvalues", figure, caption)


def non_normal(found):
    """Figure: r grows first where W is not normal."""
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.set_yscale("log")
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
    top = 1e3 * np.exp(curve["log_norm_of_power"].max())
    axes.set_ylim(radius ** lags[-1] / 10, top)
    labels.append((lags[-1], np.exp(curve["log_norm_of_power"][-1]), r"$\Vert W^l \Vert_2$", "black"))
    labels.append((lags[-1], radius ** lags[-1], r"$\lambda^l$", "black"))
    labels.append((min(lags[-1], np.log(top) / np.log(sigma)), top / 10, r"$\sigma^l$", "grey"))
    label_ends(axes, labels)
    axes.set_ylabel("gradient left, r(l) = G[i, i-l] / G[i, i]")
    caption = "A non-normal W: eigenvalues say what happens in the end, singular values what may happen before."
    return Picture("non_normal", figure, caption)


def bound(found):
    """Figure: the largest r that was seen, beside (gamma sigma)^l."""
    figure = Figure(figsize=(9.5, 4), layout="constrained")
    panels = {}
    for axes, nonlinearity in zip(figure.subplots(1, 2, sharey=True), ("tanh", "sigmoid"), strict=True):
        axes.set_yscale("log")
        labels = panels[axes] = []
        for colour, scale in zip(SERIES, RADII, strict=False):
            for style, inputs in (("-", SMALL), (":", 1.0)):
                curve = found[Network("rotation", nonlinearity, scale, inputs)]
                lags = np.arange(len(curve["log_largest"]))
                axes.plot(lags, np.exp(curve["log_largest"]), style, color=colour, linewidth=1.6)
                name = f"σ = {curve['largest_singular_value']:.1f}" + (", inputs of 1" if inputs == 1.0 else "")
                labels.append((lags[-1], np.exp(curve["log_largest"][-1]), name, colour))
            axes.plot(lags, scale**lags, "--", color="black", linewidth=0.8)
        finish(axes, f"{nonlinearity}, 1/γ = {1 / GAMMA[nonlinearity]:g}", lags)
    for axes, labels in panels.items():
        label_ends(axes, labels)
    figure.axes[0].set_ylabel("largest gradient left, max r(l)")
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
    axes.set_xlabel("steps back, l")
    axes.set_xlim(0, lags[-1])
    clean(axes)


def answer(found):
    """One sentence, out of the numbers."""
    linear = [curve for network, curve in found.items() if network.nonlinearity == "identity"]
    kinds = [curve for curve in linear if curve["kind"] in KINDS]
    off = max(abs(curve["late_factor"] / curve["spectral_radius"] - 1) for curve in kinds)
    grown = found[Network(NON_NORMAL, "identity", 0.7)]
    squashed = [curve for curve in found.values() if curve["nonlinearity"] != "identity"]
    over = max(curve["largest_over_bound"] for curve in squashed)
    above = [c for c in squashed if c["inputs"] == 1.0 and c["gamma_sigma"] > 1.05]
    lost = sum(curve["late_factor"] < 1 for curve in above)
    return (
        f"The gradients measured in linear networks are those of the closed form up to "
        f"{max(curve['deviation'] for curve in linear):.0e}: λ^l where W is a scaled rotation, a factor within "
        f"{100 * off:.1f} % of λ a step, in the end, for other matrices, but with all |λ| = "
        f"{grown['spectral_radius']:.1f} a non-normal W makes them grow {grown['peak']:.0f}-fold first, until lag "
        f"{grown['peak_lag']}; the eigenvalues decide about the end, the largest singular value σ bounds the way "
        f"there, and with it tanh and sigmoid: their largest gradient is {over:.5f} of the bound (γσ)^l, "
        f"and {lost} of the {len(above)} with γσ = 1.1 and inputs of size 1 lose their gradients all the same."
    )


def main() -> None:
    """Measures every network, and writes the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="one draw of 8 units and 30 steps")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "linear_case")
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    setting = Setting(8, 30, 20, 2, 1) if arguments.smoke else Setting(16, 150, 100, 8, 3)
    networks = [Network(kind, "identity", radius) for kind in KINDS for radius in RADII]
    networks += [Network(NON_NORMAL, "identity", 0.7), Network(NON_NORMAL, "tanh", 0.7, SMALL)]
    networks += [Network("rotation", f, scale, x) for f in ("tanh", "sigmoid") for scale in RADII for x in (SMALL, 1.0)]
    found = {network: study(network, setting) for network in networks}
    curves = ("log_median", "log_lower", "log_upper", "log_largest", "log_norm_of_power")
    write_study(
        arguments.out,
        "linear_case",
        title="The linear case",
        question=__doc__.splitlines()[0],
        expected=" ".join(__doc__.partition("Expected: ")[2].partition("Writes")[0].split()),
        answer=answer(found),
        command="python experiments/linear_case.py" + (" --smoke" if arguments.smoke else ""),
        results={"setting": setting._asdict(), "networks": list(found.values())},
        rows=[{name: value for name, value in row.items() if name not in curves} for row in found.values()],
        figures=[by_eigenvalues(found), non_normal(found), bound(found)],
    )
    print(answer(found))


if __name__ == "__main__":
    main()
