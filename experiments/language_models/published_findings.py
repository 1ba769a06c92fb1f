"""What the runs of published.py say beside what was published, and their picture."""

import math
from typing import Any

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.rows import only
from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS, SERIES


WORDS = {f"wikitext2-{cell}": cell for cell in ("lstm", "gru", "rnn")}
CHARACTERS = "shakespeare"
NEAR = 1.03  # times what was published
DIVERGED = 9.0  # nats per word; those of a uniform model over 33,278 words are 10.4
COLUMNS = {
    "recipe": "text and model",
    "steps": "training steps of the run",
    "valid": "last validation: perplexity, or loss in nats per character (shakespeare)",
    "valid after an epoch": "the first validation",
    "published after an epoch": "what was published for it",
    "unit": "of both",
    "published, by epoch": "validations that were published, by epoch",
    "test perplexity": "of the run, after so many steps",
    "published on the test text": "perplexity, after all epochs",
    "parameters": "numbers that are trained",
    "seconds": "of training, on a machine that did other work too (s)",
}


def draw(results: dict[str, dict], title: str):
    """Training loss against the step, a panel a text, with what was published for validation as dots."""
    figure, grid = panels((10.5, 4.2), 1, 2)
    for axes, names, unit in ((grid[0], list(WORDS), "word"), (grid[1], [CHARACTERS], "character")):
        lines = {}
        for name in (name for name in names if name in results):
            result, colour = results[name], COLOURS.get(WORDS.get(name, ""), SERIES[3])
            steps, losses, *_ = zip(*result["training"], strict=True)
            lines[WORDS.get(name, "LSTM").upper()] = (steps, losses, colour)
            at, *_ = result["valid"][0]
            for value in result["published"]["valid"][:1]:
                loss = value if result["unit"] == "loss" else math.log(value)
                axes.plot(at, loss, "D", color="white", markeredgecolor=colour, markersize=7, zorder=5)
        if not lines:
            continue
        for name, (steps, losses, colour) in lines.items():
            axes.plot(steps, losses, color=colour, label=name)
        what = "WikiText-2, by word" if unit == "word" else "tiny Shakespeare, by character"
        finish(axes, (), what, xlabel="training step", ylabel=f"training loss (nats per {unit})")
        axes.plot([], [], "D", color="white", markeredgecolor="0.3", label="published validation loss, first epoch")
        axes.legend(frameon=False, fontsize=8)
        axes.margins(x=0.05)
    headline(figure, title)
    return figure


def first(result: dict[str, Any]) -> float:
    """The first validation of a run, in the unit of the recipe."""
    _, loss, perplexity = result["valid"][0]
    return loss if result["unit"] == "loss" else perplexity


def to_rows(results: dict[str, dict]) -> list[dict]:
    """A line a recipe: the last validation, what was published for the first epochs, and the test text."""
    rows = []
    for name, result in results.items():
        (step, loss, perplexity), published = result["valid"][-1], result["published"]
        row = {"recipe": name, "steps": step, "valid": loss if result["unit"] == "loss" else perplexity}
        row |= {"unit": result["unit"], "published, by epoch": " ".join(map(str, published["valid"])) or None}
        row |= {"test perplexity": result["rows"][-1]["perplexity"], "published on the test text": published["test"]}
        rows.append(row | only(result, ("parameters", "seconds")))
    return rows


def findings(results: dict[str, Any]) -> Findings:
    """What the recipes that have been run say."""
    recipes = results["recipes"]
    known = {n: (first(r), r["published"]["valid"][0]) for n, r in recipes.items() if r["published"]["valid"]}
    said = [f"{WORDS[name].upper()} {at:.4g} (published {of:.4g})" for name, (at, of) in known.items() if name in WORDS]
    near = sum(at <= NEAR * of for at, of in known.values())
    title = f"{near} of {len(known)} published recipes give the published result after an epoch, within 3 %"
    answer = f"After an epoch {' and '.join(said[:1])} in perplexity; {near} of {len(known)} recipes are within 3 %."
    names = ("wikitext2-lstm", "wikitext2-gru")
    if all(name in known for name in names):
        ratios = [known[name][0] / known[name][1] for name in names]
        rnn = recipes.get("wikitext2-rnn")
        lost = "; the RNN diverges, as published" if rnn and rnn["valid"][-1][1] > DIVERGED else ""
        answer = (
            f"After an epoch validation perplexity is {ratios[0]:.3f} times the published one with the LSTM, "
            f"{ratios[1]:.3f} times with the GRU{lost}."
        )
    short = [
        {
            **only(row, ("recipe", "unit")),
            "valid after an epoch": first(recipes[row["recipe"]]),
            "published after an epoch": known.get(row["recipe"], (None, None))[1],
            **only(row, ("steps", "valid", "test perplexity", "parameters", "seconds")),
        }
        for row in to_rows(recipes)
    ]
    caption = "Training loss of every recipe against the step; diamonds: validation loss published for the first epoch."
    return Findings(
        title=title,
        answer=answer,
        verdicts=verdicts(recipes, known),
        means=short,
        rows=to_rows(recipes),
        columns=COLUMNS,
        pictures=[Picture("published", draw(recipes, title), caption)],
        seeds=sorted({result["seed"] for result in recipes.values()}),
    )


def verdicts(recipes: dict[str, dict], known: dict[str, tuple]) -> list[Verdict]:
    """The parts of the expectation, as far as their recipes have been run."""
    parts = []
    for name, expected, factor in (
        ("wikitext2-lstm", "LSTM within 3 % of the published validation perplexity after an epoch, or better", NEAR),
        ("wikitext2-gru", "GRU the same", NEAR),
        (CHARACTERS, "character model at or below the published validation loss", 1.0),
    ):
        at, of = known.get(name, (None, None))
        found = "-" if at is None else f"{at:.4g} against {of:.4g}"
        parts.append(Verdict(expected, found, None if at is None else at <= factor * of))
    rnn = recipes.get("wikitext2-rnn")
    loss = None if rnn is None else rnn["valid"][-1][1]
    said = "-" if loss is None else f"{loss:.1f} nats per word"
    parts.insert(
        2, Verdict(f"the tanh RNN diverges (above {DIVERGED:g} nats)", said, None if loss is None else loss > DIVERGED)
    )
    return parts
