"""What the runs of window_size.py say, and their picture."""

import itertools

import numpy as np

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.means import INTERVAL, means, with_interval
from experiments.harness.rows import groups, only, where
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES, SPLIT_COLOURS


WINDOWS = (1, 2, 4, 8, 16)
WINDOW_COLOURS = dict(zip(WINDOWS, (SERIES[k] for k in (3, 4, 1, 2, 0)), strict=True))
STEEP, LITTLE = 0.15, 0.1  # shares of the perplexity that a doubling gains
COLUMNS = {
    "window": "characters that the model reads",
    "seed": "of the draw of weights and batches",
    "n": "networks",
    "parameters": "numbers that are trained",
    "train perplexity": "per character, on the training text" + INTERVAL,
    "valid perplexity": "the same, on the validation text",
    "test perplexity": "the same, on the test text",
    "norms, newest first": "norm of each position's block of weights, the newest character first",
}


def mean(results: list[dict], window: int, value) -> np.ndarray:
    """The mean over seeds of what `value` takes from a result."""
    return np.mean([value(result) for result in where(results, window=window)], axis=0)


def draw(results: list[dict], finding: str):
    """Perplexity and parameters against the window, and the norms of the positions, a labelled line a window."""
    figure, (left, middle, right) = panels((13, 4.3), 1, 3)
    for split, colour in SPLIT_COLOURS.items():
        means = [mean(results, window, lambda r, s=split: r["perplexity"][s]) for window in WINDOWS]
        left.plot(WINDOWS, means, color=colour, label=split)
        points = [(result["window"], result["perplexity"][split]) for result in results]
        left.scatter(*zip(*points, strict=True), color=colour, s=10)
    left.legend(frameon=False, title="text (a dot a seed)", alignment="left")
    parameters = [mean(results, window, lambda r: r["parameters"]) / 1000 for window in WINDOWS]
    middle.plot(WINDOWS, parameters, color=SPLIT_COLOURS["train"], marker="o", markersize=4)
    for window in WINDOWS:
        norms = mean(results, window, lambda r: r["position_norms"])
        right.plot(range(1, window + 1), norms, color=WINDOW_COLOURS[window], marker="o", markersize=3, label=window)
    right.legend(frameon=False, title="window", reverse=True)
    for axes, title, xlabel, ylabel in (
        (left, "What it buys", "window (characters)", "perplexity per character"),
        (middle, "What it costs", "window (characters)", "parameters (thousands)"),
        (right, "No symmetry between positions", "position (characters back)", "norm of the position's weights"),
    ):
        finish(axes, title=title, xlabel=xlabel, ylabel=ylabel, xticks=WINDOWS, ylim=(0, None))
    headline(figure, finding)
    return figure


def to_rows(results: list[dict]) -> list[dict]:
    """A line a window and seed."""
    return [
        {
            **only(result, ("window", "seed", "parameters")),
            **{f"{split} perplexity": value for split, value in result["perplexity"].items()},
            "norms, newest first": " ".join(f"{norm:.1f}" for norm in result["position_norms"]),
        }
        for result in results
    ]


def findings(results: dict) -> Findings:
    """What the runs say."""
    found = results["results"]
    rows, windows = to_rows(found), list(groups(found, "window"))
    test = {window: float(mean(found, window, lambda r: r["perplexity"]["test"])) for window in windows}
    first, eight, last = (test[window] for window in (WINDOWS[0], WINDOWS[-2], WINDOWS[-1]))
    title = f"A window of {WINDOWS[-2]} characters buys all that a window buys"
    if last < eight:
        title = f"Up to {WINDOWS[-1]} characters a larger window buys something"
    caption = "Perplexity, parameters and the norm of each position's block of weights; means over seeds."
    of = {"parameters": lambda v: f"{v[0]:,}"}
    of |= {f"{split} perplexity": with_interval for split in ("train", "valid", "test")}
    return Findings(
        title=title,
        answer=f"Test perplexity falls from {first:.2f} with one character of context to {eight:.2f} with eight; with "
        f"sixteen it is {last:.2f}.",
        verdicts=verdicts(found, test),
        means=means(rows, ("window",), of),
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("window_size", draw(found, title), caption)],
        seeds=list(groups(found, "seed")),
    )


def verdicts(found, test) -> list[Verdict]:
    """The parts of the expectation."""
    gains = [1 - test[b] / test[a] for a, b in itertools.pairwise(WINDOWS)]
    spans = {
        (window, split): [r["perplexity"][split] for r in where(found, window=window)]
        for window in WINDOWS[-2:]
        for split in ("train", "valid", "test")
    }
    eight, sixteen = WINDOWS[-2:]
    overlap = [
        min(spans[eight, split]) <= max(spans[sixteen, split])
        and min(spans[sixteen, split]) <= max(spans[eight, split])
        for split in ("valid", "test")
    ]
    falls = max(spans[sixteen, "train"]) < min(spans[eight, "train"])
    parameters = {window: where(found, window=window)[0]["parameters"] for window in WINDOWS}
    each = {(parameters[b] - parameters[1]) / (b - 1) for b in WINDOWS[1:]}
    norms = mean(found, sixteen, lambda r: r["position_norms"])
    return [
        Verdict(
            f"perplexity falls steeply up to four (over {STEEP:.0%} a doubling)",
            f"{gains[0]:.0%}, {gains[1]:.0%}",
            min(gains[:2]) > STEEP,
        ),
        Verdict(f"a little more to eight (under {LITTLE:.0%})", f"{gains[2]:.0%}", 0 < gains[2] < LITTLE),
        Verdict(
            "from eight to sixteen only on the training text; the seeds overlap on the others",
            f"falls: {'yes' if falls else 'no'}; overlap: {sum(overlap)} of 2",
            falls and all(overlap),
        ),
        Verdict(
            "parameters grow by 32 * 128 a token", ", ".join(f"{value:,.0f}" for value in each), each == {32 * 128}
        ),
        Verdict(
            "the norm is largest for the newest token and falls with distance (to under half)",
            f"{norms[0]:.1f} to {norms[-1]:.1f}",
            bool(norms.argmax() == 0 and norms[-1] < norms[0] / 2),
        ),
    ]
