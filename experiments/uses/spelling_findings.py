"""What the corrections of spelling.py say, and their picture."""

import numpy as np
from matplotlib.ticker import PercentFormatter

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.means import percent, with_ends
from experiments.harness.rows import only, where
from experiments.harness.rows import with_ends as ends_as_columns
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES


RATES = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95)  # of errors, in the channel
CERTAIN = "non-word errors"  # there must be an error, so that its rate cancels
SEVERAL, REAL, INTACT = f"{CERTAIN}, several candidates", "real-word errors", "intact"
PRIOR_COLOURS = {"language model": SERIES[1], "word frequency": SERIES[0]}
COLUMNS = {
    "group": "what was done to a word: changed into no word, into another word, or left intact",
    "error_rate": "of the channel that the corrector assumes",
    "candidates_per_trial": "words that may have been meant, on average",
    "prior": "what tells how probable a word is: the language model of the line, or the word's frequency",
    "trials": "words",
    "accuracy": "share of words that are right after correction; in brackets a 95 % interval (Wilson)",
    "low": "lower end of the interval",
    "high": "upper end of the interval",
}


def draw(rows: list[dict], title: str):
    """Real-word errors corrected against intact words spoiled, a point an error rate."""
    figure, (axes,) = panels((7.4, 4.6))
    sides = (((-4, 3), "right"), ((5, -8), "left"))
    for (kind, colour), (offset, side) in zip(PRIOR_COLOURS.items(), sides, strict=True):
        spoiled = [1 - row["accuracy"] for row in where(rows, prior=kind, group=INTACT)]
        corrected = [row["accuracy"] for row in where(rows, prior=kind, group=REAL)]
        axes.plot(spoiled, corrected, color=colour, marker="o", markersize=4)
        axes.annotate(f"  {kind}", (spoiled[-1], corrected[-1]), color=colour, va="bottom")
        for x, y, rate in zip(spoiled, corrected, RATES, strict=True):
            axes.annotate(f"{rate:g}", (x, y), offset, textcoords="offset points", fontsize=7, color=colour, ha=side)
    axes.margins(x=0.2)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    words = {"xlabel": "share of intact words spoiled", "ylabel": "share of real-word errors corrected"}
    headline(figure, title)
    finish(axes, **words)
    return figure


def findings(results: dict) -> Findings:
    """What the corrections say."""
    found = results["results"]
    best = {kind: max(row["accuracy"] for row in where(found, group=REAL, prior=kind)) for kind in PRIOR_COLOURS}
    model, frequency = best.values()
    certain = [row["accuracy"] for row in where(found, group=CERTAIN)]
    title = f"The line around a word corrects {model:.0%} of real-word errors, the word's frequency {frequency:.0%}"
    caption = "Real-word errors corrected against intact words spoiled, a point an error rate of the channel."
    short = [
        only(row, ("group", "error_rate", "prior", "trials", "candidates_per_trial"))
        | {"accuracy": with_ends(row["accuracy"], *row["interval"], percent)}
        for row in found
    ]
    return Findings(
        title=title,
        answer=f"At their best error rate language models correct {model:.1%} of real-word errors, word frequencies "
        f"{frequency:.1%}; both about {np.mean(certain):.0%} of non-words.",
        verdicts=verdicts(found),
        means=short,
        rows=ends_as_columns(found),
        columns=COLUMNS,
        pictures=[Picture("spelling", draw(found, title), caption)],
        seeds=[results["seed"]],
    )


def verdicts(found) -> list[Verdict]:
    """The parts of the expectation."""
    certain, several = where(found, group=CERTAIN), where(found, group=SEVERAL)
    single = 1 - several[0]["trials"] / certain[0]["trials"] if several else 1.0
    shares = [row["accuracy"] for row in certain]
    overlap = max(row["interval"][0] for row in certain) <= min(row["interval"][1] for row in certain)
    corrected, spoiled = (
        {kind: np.array([row["accuracy"] for row in where(found, group=group, prior=kind)]) for kind in PRIOR_COLOURS}
        for group in (REAL, INTACT)
    )
    model, frequency = corrected.values()
    times = model / np.maximum(frequency, 1e-9)
    # what the language model corrects when it spoils as many words as frequencies do
    beside = np.interp(1 - spoiled["word frequency"], 1 - spoiled["language model"], model)
    return [
        Verdict(
            "three in four non-word errors have one candidate (70 % to 80 %)", f"{single:.0%}", 0.7 <= single <= 0.8
        ),
        Verdict(
            "both priors correct about 95 % of them (94 % to 96 %)",
            " and ".join(f"{share:.1%}" for share in shares),
            all(0.94 <= share <= 0.96 for share in shares),
        ),
        Verdict("the difference is within the intervals", "they overlap" if overlap else "they do not", overlap),
        Verdict(
            "of real-word errors the language model corrects several times as many at every error rate (twice)",
            f"{times.min():.1f} times at least; over twice at {int(np.sum(times > 2))} of {len(times)} rates",
            bool(times.min() >= 2),
        ),
        Verdict(
            "and more at the same share of intact words spoiled",
            f"at {int(np.sum(beside > frequency))} of {len(frequency)} points",
            bool(np.all(beside > frequency)),
        ),
        Verdict("most stay uncorrected", f"{1 - model.max():.0%} at the best rate", bool(model.max() < 0.5)),
    ]
