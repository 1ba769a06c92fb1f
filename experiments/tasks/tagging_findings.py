"""What the runs of tagging.py say beside published taggers, and their picture."""

from typing import Any

import numpy as np

from experiments.harness import Findings, Verdict
from experiments.harness.costs import COLUMNS as COST_COLUMNS
from experiments.harness.costs import cost_columns, known_cost, within
from experiments.harness.figures import finish, headline, panels
from experiments.harness.means import INTERVAL, means, share_with_interval, with_interval
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES, threshold


PUBLISHED = {"jPTDP 2.0": 0.9548, "UDPipe 1.2": 0.944}
RELEASES = {"jPTDP 2.0": "UD 2.2", "UDPipe 1.2": "UD 2.5"}  # of the test text
SOURCES = (
    "this study, or published, without vectors: Nguyen & Verspoor 2018, by the README of "
    "github.com/datquocnguyen/jPTDP; UDPipe 1.2 with words given, by that of "
    "github.com/jwijffels/udpipe.models.ud.2.5"
)
RECIPE, LEAST, MINUTES = "softmax", 0.95, 15
COLUMNS = {
    "model": "the recipe (softmax), or what differs from it in one setting. Constrained decoding has no row: between "
    "UPOS tags every transition is legal, so that it would find what softmax finds.",
    "seed": "of the draw of weights and batches",
    "n": "networks",
    "test accuracy": "share of the test words tagged right" + INTERVAL,
    "of unseen words": "the same of words that the training text lacks",
    "nats/word": "loss on the test text (nats per word)",
    "source": SOURCES,
    "parameters": "numbers that are trained",
    **COST_COLUMNS,
}


def to_rows(models: dict[str, dict[str, dict]]) -> list[dict[str, Any]]:
    """A line a model and seed, after the most frequent tag of each word."""
    rows = []
    for name, runs in models.items():
        for result in runs.values():
            frequent, own = result["rows"][2:]  # of the test text
            if not rows:
                rows.append(_row("most frequent tag", None, frequent, result))
            rows.append(_row(name, result["seed"], own, result))
    return rows


def _row(name, seed, scores, result):
    trained_ = seed is not None
    return {
        "model": name,
        "seed": seed,
        "test accuracy": scores["accuracy"],
        "of unseen words": scores["unseen_accuracy"],
        "nats/word": scores["cross_entropy"],
        "parameters": result["parameters"] if trained_ else None,
        "seconds": result["seconds"] if trained_ else None,
        **(known_cost(result) if trained_ else {}),
    }


def draw(models: dict[str, dict[str, dict]], title: str):
    """Validation accuracy against the step, a line a model (of its first seed), and what was published for the test."""
    (figure, (axes,)), ends = panels((7.2, 4.3)), []
    for colour, (name, runs) in zip(SERIES, models.items(), strict=False):
        steps, accuracies = zip(*next(iter(runs.values()))["valid"], strict=True)
        axes.plot(steps, accuracies, color=colour)
        ends.append((steps[-1], accuracies[-1], name, colour))
    for name, accuracy in PUBLISHED.items():
        threshold(axes, accuracy, f"{name} (test)")
    axes.set_xlabel("training step")
    axes.set_ylabel("accuracy on the validation text")
    headline(figure, title)
    finish(axes)
    figure.draw_without_rendering()  # the layout moves the axes, and labels are placed in pixels
    finish(axes, ends)
    return figure


def to_means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The means over seeds, and below them what was published, in the same columns."""
    of = {name: share_with_interval for name in ("test accuracy", "of unseen words")} | {"nats/word": with_interval}
    of |= cost_columns(rows)
    ours = [row | {"source": "this study"} for row in means(rows, ("model",), of)]
    for name, accuracy in PUBLISHED.items():
        row = {"model": name, "test accuracy": f"{100 * accuracy:.4g} %", "source": f"published for {RELEASES[name]}"}
        ours.append({column: row.get(column) for column in ours[0]})
    return ours


def findings(results: dict[str, Any]) -> Findings:
    """What the runs say."""
    models = results["models"]
    rows = to_rows(models)
    known = {name: mean_of(rows, name, "test accuracy") for name in models}
    best = RECIPE if RECIPE in known else max(known, key=lambda name: known[name])
    unseen, frequent = mean_of(rows, best, "of unseen words"), rows[0]["test accuracy"]
    title = f"The tagger reaches {known[best]:.1%}, above UDPipe and jPTDP as published"
    if known[best] < max(PUBLISHED.values()):
        title = f"The tagger reaches {known[best]:.1%} of words, below the best published"
    return Findings(
        title=title,
        answer=f"The recipe tags {known[best]:.1%} of the test words right, {unseen:.1%} of unseen ones; each word's "
        f"most frequent tag {frequent:.1%}.",
        verdicts=[*verdicts(rows, known), within(MINUTES, models.get(RECIPE, {}).values())],
        means=to_means(rows),
        rows=rows,
        columns=COLUMNS,
        pictures=[
            Picture(
                "tagging",
                draw(models, title),
                "Accuracy on the validation text while models are trained; dotted: published for the test text of "
                "earlier releases.",
            )
        ],
        seeds=sorted({result["seed"] for runs in models.values() for result in runs.values()}),
    )


def mean_of(rows, name: str, column: str) -> float:
    """The mean over the seeds of a model; NaN where nothing is known."""
    found = [row[column] for row in rows if row["model"] == name and row[column] is not None]
    return float(np.mean(found)) if found else float("nan")


def verdicts(rows, known: dict[str, float]) -> list[Verdict]:
    """The parts of the expectation; those of other models only where they have been run."""

    def part(expected, name, column, holds):
        if name not in known or RECIPE not in known:
            return Verdict(expected, "-", None)
        loss = 100 * (mean_of(rows, RECIPE, column) - mean_of(rows, name, column))
        return Verdict(expected, f"{abs(loss):.1f} points {'less' if loss >= 0 else 'more'}", bool(holds(loss)))

    recipe = known.get(RECIPE)
    return [
        Verdict(
            f"the recipe has at least {LEAST:.1%}",
            "-" if recipe is None else f"{recipe:.2%}",
            None if recipe is None else recipe >= LEAST,
        ),
        part(
            "without characters unseen words fall by over 10 points", "words alone", "of unseen words", lambda x: x > 10
        ),
        part("and all words by one to two", "words alone", "test accuracy", lambda x: 1 <= x <= 2),
        part(
            "left to right alone loses about one (0.5 to 1.5)",
            "left to right",
            "test accuracy",
            lambda x: 0.5 <= x <= 1.5,
        ),
        part("transitions between tags add nothing (under 0.2)", "crf", "test accuracy", lambda x: x > -0.2),
    ]
