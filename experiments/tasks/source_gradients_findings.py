"""What the gradients of source_gradients.py say, and their pictures."""

from typing import Any

import numpy as np

from experiments.harness import Findings, Verdict
from experiments.harness.figures import draw_lines, finish, headline, panels
from lm_jax.report.source_map import shares, visible
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES


STAGES = ("before training", "after training")
FEWEST = 20  # pairs of tokens at a distance that is drawn
NEAR, FAR = (1, 5), (20, 24)  # distances that are compared
STRAIGHT, ALIKE = 0.95, 0.5  # R^2 of a line through the logarithms; what is left far away, at least
COLUMNS = {
    "form": "the translator: with attention, or with the last states of the encoder alone",
    "stage": "before or after training",
    "near": f"mean gradient norm {NEAR[0]} to {NEAR[1]} recurrent steps away (nats by unit of the source vector)",
    "far": f"the same {FAR[0]} to {FAR[1]} steps away",
    "left": "the second as a share of the first",
    "exact": "share of test dates translated exactly",
}


def mean_over(rows: list[dict[str, Any]], bounds: tuple[int, int]) -> float:
    """The mean norm over all pairs of tokens whose distance is within the bounds."""
    chosen = [row for row in rows if bounds[0] <= row["distance"] <= bounds[1]]
    pairs = sum(row["pairs"] for row in chosen)
    return sum(row["mean"] * row["pairs"] for row in chosen) / pairs if pairs else float("nan")


def to_rows(results: dict[str, dict]) -> list[dict[str, Any]]:
    """A line for each form and stage: the norm near and far, and what is left."""
    rows = []
    for form, result in results.items():
        for stage in STAGES:
            near, far = (mean_over(result[stage]["by distance"], bounds) for bounds in (NEAR, FAR))
            row = {"form": form, "stage": stage, "near": near, "far": far, "left": far / near}
            rows.append(row | {"exact": result["exact"] if stage == STAGES[1] else None})
    return rows


def draw(results: dict[str, dict], title: str):
    """Mean norm against distance, a panel a stage, a line a form, with quartiles as bands."""
    figure, axes = panels((9.8, 4.4), 1, 2, sharey=True)
    ends = []
    for panel, stage in zip(axes, STAGES, strict=True):
        lines = {}
        for (form, result), colour in zip(results.items(), SERIES, strict=False):
            rows = [row for row in result[stage]["by distance"] if row["pairs"] >= FEWEST]
            x = [row["distance"] for row in rows]
            panel.fill_between(x, *([row[k] for row in rows] for k in ("low", "high")), color=colour, alpha=0.15, lw=0)
            lines[form] = (x, [row["mean"] for row in rows], colour)
        panel.set_yscale("log")
        ends.append(draw_lines(panel, lines))
    for panel, stage, of_stage in zip(axes, STAGES, ends, strict=True):  # names stand where the shared axis ends
        finish(panel, of_stage, xlabel="recurrent steps from the source to the target token")
        far = " to ".join(map(str, FAR))
        panel.set_title(f"{stage}, left after {far} steps:\n{left_over(results, stage)}", fontsize=9, loc="left")
    headline(figure, title)
    axes[0].set_ylabel("gradient norm of log P(target token)\n(nats by unit of the source vector)")
    return figure


def left_over(results: dict[str, dict], stage: str) -> str:
    """The mean norm far away as a share of that nearby, of each form."""
    rows = [row for row in to_rows(results) if row["stage"] == stage]
    return ", ".join(f"{row['left']:.2g} with {row['form']}" for row in rows)


def draw_example(results: dict[str, dict]):
    """One sentence after training: a row a target token, a column a source token, the share of the row as colour."""
    first = next(iter(results.values()))
    width = max(4.2, 0.17 * len(first["source"]) + 1.2)
    top = max(shares(np.asarray(result[STAGES[1]]["example"])).max() for result in results.values())
    figure, axes = panels((2 * width, max(3.0, 0.22 * len(first["target"]) + 1.6)), 1, len(results), sharey=True)
    images = []
    for panel, (form, result) in zip(axes, results.items(), strict=True):
        of_words = shares(np.asarray(result[STAGES[1]]["example"]))
        images.append(panel.imshow(of_words, cmap="viridis", vmin=0.0, vmax=top, aspect="auto"))
        turned = 90 if max(map(len, result["source"])) > 1 else 0
        for set_ticks, tokens, angle in (
            (panel.set_xticks, result["source"], turned),
            (panel.set_yticks, result["target"], 0),
        ):
            set_ticks(range(len(tokens)), [visible(t) for t in tokens], rotation=angle, fontsize=8, parse_math=False)
        panel.set_title(form, fontsize=9, loc="left")
        panel.set_xlabel("source token")
    largest = {f: shares(np.asarray(r[STAGES[1]]["example"])).max(axis=1).mean() for f, r in results.items()}
    said = ", ".join(f"{value:.0%} with {form}" for form, value in largest.items())
    headline(figure, f"Largest share of a target token's gradient on one source token: {said}")
    axes[0].set_ylabel("target token")
    figure.colorbar(images[0], ax=list(axes), label="share of the gradient norm")
    return figure


def findings(results: dict[str, Any]) -> Findings:
    """What the gradients say."""
    forms = results["forms"]
    rows = to_rows(forms)
    left = {(row["form"], row["stage"]): row["left"] for row in rows}
    plain, attended = (left[form, STAGES[0]] for form in ("no attention", "attention"))
    learned = left["no attention", STAGES[1]]
    title = f"Without attention {plain:.1%} of the gradient is left far away, with it {attended:.0%}"
    caption = (
        "Mean norm of the derivative of log P(target token) by the vector of a source token, against the recurrent "
        "steps between them; bands hold the middle half of the pairs of tokens."
    )
    return Findings(
        title=title,
        answer=f"Before training {plain:.1%} of the gradient is left far away without attention, {attended:.0%} "
        f"with it; training raises the former to {learned:.0%}.",
        verdicts=verdicts(forms, left),
        means=rows,
        rows=rows,
        columns=COLUMNS,
        pictures=[
            Picture("source_gradients", draw(forms, title), caption),
            Picture("example", draw_example(forms), "One test sentence after training; each row adds up to 1."),
        ],
        seeds=sorted({result["seed"] for result in forms.values()}),
    )


def verdicts(forms: dict[str, dict], left) -> list[Verdict]:
    """The parts of the expectation."""
    found = [row for row in forms["no attention"][STAGES[0]]["by distance"] if row["pairs"] >= FEWEST]
    x, y = (np.array([row[name] for row in found], float) for name in ("distance", "mean"))
    straight = float(np.corrcoef(x, np.log(y))[0, 1] ** 2) if len(x) > 2 else float("nan")
    plain, attended = ([left[form, stage] for stage in STAGES] for form in ("no attention", "attention"))
    return [
        Verdict(
            f"without attention the norm falls exponentially (R² of its logarithm over {STRAIGHT})",
            f"{straight:.3f}",
            straight > STRAIGHT and plain[0] < ALIKE,
        ),
        Verdict(
            f"with attention it does not depend on distance before training (over {ALIKE:.0%} left far away)",
            f"{attended[0]:.0%} left",
            attended[0] > ALIKE,
        ),
        Verdict(
            "training makes the fall without attention slower",
            f"{plain[0]:.1%} left before, {plain[1]:.0%} after",
            plain[1] > plain[0],
        ),
    ]
