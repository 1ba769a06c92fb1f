"""What the scores of noisy_channel.py say, and their picture."""

from typing import Any

import numpy as np

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.means import with_ends
from experiments.tasks.translation_findings import signed
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES


SPLITS = ("valid", "test")
GAIN, ORACLE = (0.5, 1.5), (8, 12)  # of the measure, in points
COLUMNS = {
    "direction": "from and to which language",
    "split": "validation or test pairs",
    "system": "what chooses from the n-best list; direct: the search alone",
    "beam": "candidates of each sentence",
    "bleu": "BLEU of sacrebleu, 13a, in the case of the data",
    "chrf": "chrF of sacrebleu",
    "exact": "share of translations equal to the reference",
    "difference": "to the direct search with the beam of the recipe; in brackets 95 % of resampled sentences",
    "low": "lower end of the interval",
    "high": "upper end of the interval",
    "weights": "of the direct model, the reverse model, the language model and the length",
}


def to_rows(directions: dict[str, dict]) -> list[dict[str, Any]]:
    """A line a direction, system and split."""
    rows = []
    for direction, result in directions.items():
        for split in SPLITS:
            for system, scores in result[split].items():
                weights = result["weights"].get(system)
                row = {"direction": direction, "split": split, "system": system, "beam": result["beam"]}
                row |= {name: scores[name] for name in ("bleu", "chrf", "exact")}
                row |= {"difference": scores["difference"]["estimate"], "low": scores["difference"]["low"]}
                row |= {"high": scores["difference"]["high"]}
                row["weights"] = None if weights is None else " ".join(f"{weight:g}" for weight in weights.values())
                rows.append(row)
    return rows


def draw(directions: dict[str, dict], title: str):
    """The difference of each system to the direct search, with its interval, on the test pairs."""
    names = [name for name in next(iter(directions.values()))["test"] if name != "oracle"]
    figure, (axes,) = panels((7.6, 1.9 + 0.35 * len(names)))
    for place, (colour, (direction, result)) in enumerate(zip(SERIES, directions.items(), strict=False)):
        found = [result["test"][name]["difference"] for name in names]
        at = np.arange(len(names)) + 0.2 * place
        middle = np.array([one["estimate"] for one in found])
        ends = np.abs([[one["low"] for one in found], [one["high"] for one in found]] - middle)
        axes.errorbar(middle, at, xerr=ends, fmt="o", color=colour, markersize=4, capsize=2, label=direction)
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.legend(frameon=False, fontsize=8)
    result = next(iter(directions.values()))
    headline(figure, title)
    finish(axes, xlabel=f"{result['measure']} gained")
    return figure


def findings(results: dict[str, Any]) -> Findings:
    """What the directions that have been run say."""
    directions = results["directions"]
    result = next(iter(directions.values()))
    measure = result["measure"]
    gains = {name: of["test"]["all"]["difference"]["estimate"] for name, of in directions.items()}
    gained = ", ".join(f"{gain:+.2f} ({name})" for name, gain in gains.items())
    title = f"Reverse model and language model together: {gained} {measure}"
    rows = to_rows(directions)
    short = [
        {"direction": row["direction"], "system": row["system"], "bleu": row["bleu"]}
        | {"difference": with_ends(row["difference"], row["low"], row["high"], lambda value: f"{value:+.2f}")}
        | {"weights": row["weights"]}
        for row in rows
        if row["split"] == SPLITS[-1]
    ]
    scores = [one for of in directions.values() for one in of["test"].values()]
    caption = f"{measure} gained over {result['base']} on the test pairs, with 95 % intervals."
    return Findings(
        title=title,
        answer=f"Over the direct search all together gain {gained} {measure}.",
        verdicts=verdicts(directions, measure),
        means=short,
        rows=rows,
        columns=COLUMNS | {"bleu": COLUMNS["bleu"] + signed(scores)},
        pictures=[Picture("noisy_channel", draw(directions, title), caption)],
        seeds=sorted({result["seed"] for result in directions.values()}),
    )


def verdicts(directions: dict[str, dict], measure: str) -> list[Verdict]:
    """The parts of the expectation, on the test pairs; each must hold in every direction that has been run."""
    gains = {
        name: {system: scores["difference"]["estimate"] for system, scores in result["test"].items()}
        for name, result in directions.items()
    }

    def part(expected, systems, holds):
        values = {name: [of[system] for system in systems] for name, of in gains.items()}
        found = ", ".join(f"{' and '.join(f'{x:+.2f}' for x in own)} ({name})" for name, own in values.items())
        return Verdict(expected, found, all(holds(*own) for own in values.values()))

    return [
        part(f"all three gain about one {measure} (0.5 to 1.5)", ["all"], lambda x: GAIN[0] <= x <= GAIN[1]),
        part(
            "most of it from the reverse model",
            ["direct + reverse", "direct + language model"],
            lambda reverse, language: reverse > language,
        ),
        part(
            "the reverse model alone, and the channel without the direct model, lose",
            ["reverse alone", "channel + language model"],
            lambda *alone: max(alone) < 0,
        ),
        part(
            f"the best of the list is 10 {measure} better (8 to 12)", ["oracle"], lambda x: ORACLE[0] <= x <= ORACLE[1]
        ),
    ]
