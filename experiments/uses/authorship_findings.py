"""What the verdicts of authorship.py say, and their picture."""

import numpy as np

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.means import percent, with_ends
from experiments.harness.rows import groups, only, where
from experiments.harness.rows import with_ends as ends_as_columns
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES, threshold


LENGTHS = (50, 100, 200)  # characters of a passage; the shorter ones are the beginnings of the longer
KIND_COLOURS = {"language model": SERIES[1], "unigram": SERIES[0]}
COLUMNS = {
    "kind": "whose probabilities decide",
    "characters": "length of a passage",
    "passages": "that were judged",
    "accuracy": "share of passages given to their author; in brackets a 95 % interval (Wilson)",
    "low": "lower end of the interval",
    "high": "upper end of the interval",
}


def draw(curves: dict[str, list[float]], rows: list[dict], authors: int, title: str):
    """Accuracy against the length of the passage, with 95 % intervals at the three lengths."""
    figure, (axes,) = panels((7.2, 4.3))
    for kind, values in curves.items():
        axes.plot(np.arange(1, len(values) + 1), values, color=KIND_COLOURS[kind])
        axes.annotate(f" {kind}", (len(values), values[-1]), color=KIND_COLOURS[kind], va="center")
        for row in where(rows, kind=kind):
            axes.plot([row["characters"]] * 2, row["interval"], color=KIND_COLOURS[kind], linewidth=4, alpha=0.4)
    threshold(axes, 1 / authors, "chance")
    words = {"xlabel": "length of the passage (characters)", "ylabel": "share of passages given to their author"}
    headline(figure, title)
    finish(axes, **words, xlim=(0, 1.3 * LENGTHS[-1]), xticks=[0, *LENGTHS], ylim=(0, 1))
    return figure


def findings(results: dict) -> Findings:
    """What the verdicts say."""
    found, authors = results["results"], len(results["authors"])
    longest = {row["kind"]: row["accuracy"] for row in where(found, characters=LENGTHS[-1])}
    model, unigram = longest["language model"], longest["unigram"]
    title = f"{LENGTHS[-1]} characters tell {authors} authors apart {model:.0%} of the time"
    curves = results["accuracy_by_characters"]
    caption = (
        f"Share of {found[0]['passages']} held-out passages given to their author by the length of the passage; bars: "
        "95 % intervals."
    )
    short = [
        only(row, ("characters", "kind", "passages"))
        | {"accuracy": with_ends(row["accuracy"], *row["interval"], percent)}
        for row in found
    ]
    return Findings(
        title=title,
        answer=f"Given {LENGTHS[-1]} characters, language models name the author of {model:.1%} of passages, unigrams "
        f"of {unigram:.1%}.",
        verdicts=verdicts(found),
        means=sorted(short, key=lambda row: row["characters"]),
        rows=ends_as_columns(found, "confusion"),
        columns=COLUMNS,
        pictures=[Picture("authorship", draw(curves, found, authors, title), caption)],
        seeds=[results["seed"]],
    )


def verdicts(found) -> list[Verdict]:
    """The parts of the expectation."""
    gaps = []
    for own in groups(found, "characters").values():
        model, unigram = (where(own, kind=kind)[0] for kind in KIND_COLOURS)
        gaps.append(model["interval"][0] - unigram["interval"][1])
    by_kind = {kind: [row["accuracy"] for row in where(found, kind=kind)] for kind in KIND_COLOURS}
    return [
        Verdict(
            "the models beat the baseline at every length (intervals apart)",
            f"{sum(gap > 0 for gap in gaps)} of {len(gaps)} lengths",
            min(gaps) > 0,
        ),
        Verdict(
            "both gain with length",
            "; ".join(f"{kind} {', '.join(f'{value:.0%}' for value in values)}" for kind, values in by_kind.items()),
            all(np.all(np.diff(values) > 0) for values in by_kind.values()),
        ),
    ]
