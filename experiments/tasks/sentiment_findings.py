"""What the runs of sentiment.py say beside counting, and their picture."""

from typing import Any

import numpy as np

from experiments.harness import Findings, Verdict
from experiments.harness.costs import COLUMNS as COST_COLUMNS
from experiments.harness.figures import headline, panels
from experiments.harness.means import INTERVAL, means, share_with_interval
from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS, clean


CELLS, POOLINGS = ("rnn", "gru", "lstm"), ("last", "mean", "max", "attention")
RECIPE, PRETRAINED = "recipe", "recipe from a language model"
NOT_IN_ROWS = ("curve", "naive Bayes", "machine")
LEAST, CLOSE, BEGUN = 0.81, 0.02, 0.84  # accuracy of the recipe; between cells; begun with a language model
COLUMNS = {
    "model": "a network of the study, or a way of counting words and bigrams",
    "seed": "of the draw of weights and batches",
    "n": "networks",
    "train": "share of the training sentences that are right" + INTERVAL,
    "valid": "the same of the validation sentences",
    "test": "the same of the test sentences",
    "parameters": "numbers that are trained",
    **COST_COLUMNS,
}


def draw(runs: list[dict], counting: dict[str, float], title: str):
    """Test accuracy of every model, a mark a seed, beside counting."""
    figure, (axes,) = panels((7.2, 2.0 + 0.24 * len({run["model"] for run in runs})))
    names = list(dict.fromkeys(run["model"] for run in runs))
    for run in runs:
        colour = COLOURS[next((cell for cell in CELLS if run["model"].startswith(cell)), "lstm")]
        axes.plot(100 * run["test"], names.index(run["model"]), "o", color=colour, markersize=5, alpha=0.7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    for name, accuracy in counting.items():
        axes.axvline(100 * accuracy, color="0.4", linestyle=":", linewidth=0.8)
        beside = {"xycoords": axes.get_xaxis_transform(), "xytext": (2, 3), "textcoords": "offset points"}
        axes.annotate(name, (100 * accuracy, 0), **beside, rotation=90, fontsize=7)
    axes.set_xlabel("accuracy on the test sentences (%)")
    headline(figure, title)
    clean(axes)
    return figure


def findings(results: dict[str, Any]) -> Findings:
    """What the runs say."""
    runs, counting = results["runs"], results["counting"]
    recipe = float(np.mean([run["test"] for run in runs if run["model"] == RECIPE]))
    bayes = counting["naive Bayes"]
    title = "A network that reads in order is no better than counting words and bigrams"
    if recipe > max(counting.values()):
        title = "A network that reads in order is better than counting words and bigrams"
    rows = [{"model": name, "test": accuracy} for name, accuracy in counting.items()]
    rows += [{key: value for key, value in run.items() if key not in NOT_IN_ROWS} for run in runs]
    of = {name: share_with_interval for name in ("train", "valid", "test")}
    return Findings(
        title=title,
        answer=f"The network that reads in order is right on {recipe:.1%} of the test sentences, naive Bayes, which "
        f"counts, on {bayes:.1%}.",
        verdicts=verdicts(runs, recipe, bayes),
        means=means(rows, ("model",), of),
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("sentiment", draw(runs, counting, title), "Test accuracy of every model; a mark is a seed.")],
        seeds=sorted({run["seed"] for run in runs}),
    )


def verdicts(runs, recipe: float, bayes: float) -> list[Verdict]:
    """The parts of the expectation; those of the grid only where it was run."""
    grid = {run["model"]: run["test"] for run in runs if run["model"].split()[-1] in POOLINGS}
    by_pooling = {p: [v for name, v in grid.items() if name.endswith(p)] for p in ("last", "mean", "max")}
    by_cell = {cell: [v for name, v in grid.items() if name.startswith(cell)] for cell in CELLS}
    last, mean, largest = (float(np.mean(v)) if v else np.nan for v in by_pooling.values())
    cells = [float(np.mean(v)) for v in by_cell.values() if v]
    apart = max(cells) - min(cells) if cells else np.nan
    begun = [run["test"] for run in runs if run["model"] == PRETRAINED]
    return [
        Verdict(f"{LEAST:.0%} by the recipe", f"{recipe:.1%}", recipe >= LEAST),
        Verdict("no more than naive Bayes", f"{recipe:.1%} against {bayes:.1%}", recipe <= bayes),
        Verdict(
            "pooling by mean or maximum is better than the last state",
            f"{mean:.1%}, {largest:.1%} against {last:.1%}" if grid else "-",
            min(mean, largest) > last if grid else None,
        ),
        Verdict(
            f"the cells are close to each other (within {CLOSE:.0%})",
            f"{apart:.1%}" if grid else "-",
            apart < CLOSE if grid else None,
        ),
        Verdict(
            f"{BEGUN:.0%} when it begins with a language model",
            f"{np.mean(begun):.1%}" if begun else "-",
            bool(np.mean(begun) >= BEGUN) if begun else None,
        ),
    ]
