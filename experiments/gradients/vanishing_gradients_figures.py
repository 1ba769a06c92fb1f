"""The pictures of vanishing_gradients.py, and the networks and horizons that they are of."""

import itertools

import numpy as np

from experiments.gradients.vanishing_gradients_lags import MEDIAN_LAGS
from experiments.harness.figures import draw_log_band, finish, headline, panels
from experiments.harness.rows import where
from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS, SERIES, label_ends, threshold


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
LOWEST = 1e-8  # share of the gradient at which the pictures end
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


def curves_of(results, variants, stage: str, leaf: str):
    """Of each variant the lags and the logarithms of the median [seeds, lags], as far as all of them were measured."""
    found = {}
    count = min(len(p["log_median"]) for variant in variants for p in top(results, variant, stage, leaf))
    for variant in variants:
        profiles = top(results, variant, stage, leaf)
        medians = [p["log_median"][:count] for p in profiles]  # null in JSON: nothing is left
        logs = [[-np.inf if value is None else value for value in median] for median in medians]
        found[variant] = (np.asarray(MEDIAN_LAGS[:count]), np.asarray(logs))
    return found


def draw_panel(axes, curves, colours, unit: str, title: str = ""):
    """The median of r by lag, mean and range over seeds; what leaves at the bottom is named where it leaves."""
    longest, ends = max(lags[-1] for lags, _ in curves.values()), []
    axes.set(yscale="log", ylim=(LOWEST, 5), xlim=(0, longest))
    for variant, (lags, logs) in curves.items():
        colour = colours[variant]
        mean = draw_log_band(axes, lags, logs, colour)
        if mean[-1] > LOWEST:
            ends.append((lags[-1], float(mean[-1]), variant, colour))
        else:
            at = lags[int(np.argmax(mean <= LOWEST))]
            axes.annotate(variant, (at, 3 * LOWEST), (3, 0), textcoords="offset points", color=colour, fontsize=9)
    for share in (0.1, 0.01):
        threshold(axes, share, f"{share:.0%}", x=0.93)
    finish(axes, (), title, xlabel=f"lag ({unit}s back)")
    return ends


def horizon_words(results, variant: str, stage: str, leaf: str) -> str:
    """The lag at which less than 1 % is left, as a legend has it: the median of the seeds."""
    values = sorted(np.inf if v is None else v for v in measured(results, variant, stage, leaf, "horizon_1"))
    middle = values[(len(values) - 1) // 2]
    return f"{variant}: {middle:.0f}" if np.isfinite(middle) else f"{variant}: beyond"


def draw_main(results, colours, unit: str, title: str):
    """The gradient by the whole carry after training, for RNN, GRU and LSTM."""
    figure, (axes,) = panels((8.2, 4.8))
    ends = draw_panel(axes, curves_of(results, colours, STAGES[2], "all"), colours, unit)
    axes.set_ylabel("gradient by the whole state, relative to\nthat one step back (median)")
    return named(figure, [axes], [ends], title)


def draw_curves(results, colours: dict[str, str], unit: str, leaf: str, title: str):
    """A panel for the first and one for the last stage; their legends tell the lag at which 1 % is left."""
    figure, grid = panels((12.0, 4.9), 1, 2, sharey=True)
    for axes, stage in zip(grid, (STAGES[0], STAGES[2]), strict=True):
        curves = curves_of(results, colours, stage, leaf)
        longest = 1
        for variant, (lags, logs) in curves.items():
            mean = draw_log_band(axes, lags, logs, colours[variant])
            longest = max(longest, lags[int(np.argmax(mean <= LOWEST))] if mean.min() <= LOWEST else lags[-1])
        reach = {
            v: float(np.interp(np.log(0.01), logs.mean(0)[::-1], lags[::-1])) for v, (lags, logs) in curves.items()
        }
        for variant in sorted(reach, key=lambda v: (-reach[v], -curves[v][1].mean(0)[-1])):
            axes.plot([], [], color=colours[variant], linewidth=2, label=horizon_words(results, variant, stage, leaf))
        for share in (0.1, 0.01):
            threshold(axes, share, f"{share:.0%}", x=0.9)
        limits = {"yscale": "log", "ylim": (LOWEST, 5), "xlim": (0, longest)}
        finish(axes, (), stage, xlabel=f"lag ({unit}s back)", **limits)
        legend = {"title": "below 1 % from lag", "loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        axes.legend(frameon=False, fontsize=8, title_fontsize=8, alignment="left", **legend)
    base = "that by the output" if leaf == "h" else "that one step back"
    what = "the whole state" if leaf == "all" else leaf
    grid[0].set_ylabel(f"gradient by {what}, relative to\n{base} (median)")
    headline(figure, title)
    return figure


def named(figure, grid, ends, title: str):
    """The finding above, and names at line ends once the layout has moved the axes."""
    headline(figure, title)
    figure.draw_without_rendering()
    for axes, of_axes in zip(grid, ends, strict=True):
        label_ends(axes, of_axes)
    return figure


def measured(results, variant: str, stage: str, leaf: str, field: str) -> list:
    """A number of every seed; None for a horizon beyond what was measured."""
    own = top(results, variant, stage, leaf) if leaf else where(results, variant=variant, stage=stage)
    return [found[field] for found in own]


def draw_horizons(results, unit: str, largest: int, title: str):
    """Every definition of horizon for RNN, GRU and LSTM before, early in and after training, beside the claim."""
    figure, grid = panels((12.0, 5.1), 1, len(CLAIM), sharey=True)
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
        finish(axes, xlabel=f"horizon ({unit}s)", **limits)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_title(variant, loc="left", color=colour)
    headline(figure, title)
    return figure


def pictures(results, unit: str, largest: int, titles: dict[str, str]) -> list[Picture]:
    """All figures; those of variants that this scale does not have are left out. titles: findings by picture."""
    count = len({one["seed"] for one in results})
    seeds = f"Lines: mean over {count} seeds; bands: their range."
    marks = "Hollow: at initialisation, grey: early, filled: after training; a mark a seed, > beyond what was measured."
    three = {variant: COLOURS[variant.lower()] for variant in CLAIM}
    main, by_h = draw_main(results, three, unit, titles["main"]), draw_curves(results, three, unit, "h", titles["by_h"])
    before = "Before training an orthogonal tanh RNN keeps its gradients, which training ends."
    found = [
        Picture("vanishing_gradients", main, f"By the whole carry, after training. {seeds}"),
        Picture("by_h", by_h, f"By h alone: of the LSTM with c held. {before} {seeds}"),
        Picture("horizons", draw_horizons(results, unit, largest, titles["horizons"]), marks),
    ]
    present = {one["variant"] for one in results}
    if not SINGLE.keys() | STACKS.keys() <= present:
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
        figure = draw_curves(results, variants, unit, leaf, titles[name])
        found.append(Picture(name, figure, f"{caption} {seeds}"))
    return found
