"""What the iterations of newton.py say."""

from typing import Any

import numpy as np

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS, QUIET, threshold


NEAR = 0.1  # exponents nearer to 0 than this are neither below nor above it
FEW, MANY = 20, 0.25  # iterations; share of the steps
SAME, GROWS = 1.5, 2.0  # times the iterations of the shorter sequence
NAMES = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}
COLUMNS = {
    "cell": "the recurrence",
    "seed": "of weights and inputs",
    "gain": "what the recurrent weights were multiplied by",
    "steps": "length of the sequence, T",
    "exponent": "largest Lyapunov exponent (nats per step), in the short table the mean of the seeds",
    "iterations": "of Newton's method until the residual is at rounding, in the short table the median of the seeds",
    "residual": "largest |s_t - F(s_{t-1}, x_t)| / max(1, |s_t|) after them",
}


def findings(results: dict[str, Any]) -> Findings:
    """What the iterations say."""
    rows, lengths = results["rows"], results["setting"]["steps"]
    longest = [row for row in rows if row["steps"] == lengths[-1]]
    below = [row["iterations"] for row in longest if row["exponent"] < -NEAR]
    above = [row["iterations"] for row in longest if row["exponent"] > NEAR]
    most, least = max(below, default=0), min(above, default=0)
    return Findings(
        title=f"Below an exponent of -{NEAR:g} at most {most} iterations replace {lengths[-1]} steps, above {NEAR:g} "
        f"at least {least}",
        answer=f"Newton iterations for {lengths[-1]} steps: at most {most} where the largest Lyapunov exponent is "
        f"clearly negative, at least {least} where it is clearly positive.",
        verdicts=verdicts(rows, lengths, below, above),
        means=means(rows),
        rows=rows,
        columns=COLUMNS,
        pictures=[picture(rows, lengths, "The iterations that Newton's method needs jump where chaos begins")],
        seeds=range(results["setting"]["seeds"]),
    )


def means(rows) -> list[dict[str, Any]]:
    """A row for each cell, gain and length, over the seeds."""
    groups: dict[tuple, list] = {}
    for row in rows:
        groups.setdefault((row["cell"], row["gain"], row["steps"]), []).append(row)
    return [
        {
            "cell": cell,
            "gain": gain,
            "steps": steps,
            "exponent": float(np.mean([row["exponent"] for row in group])),
            "iterations": float(np.median([row["iterations"] for row in group])),
        }
        for (cell, gain, steps), group in groups.items()
    ]


def verdicts(rows, lengths, below, above) -> list[Verdict]:
    """The parts of the expectation."""
    steps, near = lengths[-1], f"{NEAR:g}"
    ratios = growth(rows, lengths)
    return [
        Verdict(
            f"below -{near} iterations are few (at most {FEW} for {steps} steps)",
            f"{max(below)} at most" if below else "no such network",
            max(below) <= FEW if below else None,
        ),
        Verdict(
            f"and hardly depend on the number of steps (times at most {SAME:g} from {lengths[0]} to {steps})",
            f"times {ratios['below']:.2f} in the mean" if ratios["below"] else "no such network",
            ratios["below"] <= SAME if ratios["below"] else None,
        ),
        Verdict(
            f"above {near} they are of the order of the steps (at least {MANY:.0%} of {steps})",
            f"{min(above)} at least" if above else "no such network",
            min(above) >= MANY * steps if above else None,
        ),
        Verdict(
            f"and grow with them (at least {GROWS:g}-fold from {lengths[0]} to {steps})",
            f"times {ratios['above']:.2f} in the mean" if ratios["above"] else "no such network",
            ratios["above"] >= GROWS if ratios["above"] else None,
        ),
    ]


def growth(rows, lengths) -> dict[str, float | None]:
    """The mean ratio (of logarithms) of iterations for the longest sequence to those for the shortest, by side of 0."""
    count = {(row["cell"], row["seed"], row["gain"], row["steps"]): row["iterations"] for row in rows}
    ratios: dict[str, list[float]] = {"below": [], "above": []}
    for row in rows:
        if row["steps"] == lengths[0] and abs(row["exponent"]) > NEAR:
            longest = count[row["cell"], row["seed"], row["gain"], lengths[-1]]
            ratios["above" if row["exponent"] > 0 else "below"].append(longest / row["iterations"])
    return {side: float(np.exp(np.mean(np.log(found)))) if found else None for side, found in ratios.items()}


def picture(rows, lengths, title: str) -> Picture:
    """Figure: iterations against the exponent, a panel for each length."""
    figure, grid = panels((10.5, 4.6), 1, len(lengths), sharey=True)
    for axes, steps in zip(grid, lengths, strict=True):
        axes.set_yscale("log", base=2)
        threshold(axes, steps, "as many iterations as steps")
        axes.axvline(0, color=QUIET, linewidth=0.8)
        for cell, name in NAMES.items():
            ours = [row for row in rows if row["cell"] == cell and row["steps"] == steps]
            x, y = ([row[key] for row in ours] for key in ("exponent", "iterations"))
            axes.plot(x, y, "o", color=COLOURS[cell], markersize=4, alpha=0.75, linewidth=0, label=name)
        finish(axes, title=f"{steps} steps", xlabel="largest Lyapunov exponent, nats per step")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    grid[0].set_ylabel("Newton iterations")
    grid[0].legend(frameon=False, loc="center left")
    headline(figure, title)
    caption = (
        "A point is one network: three draws of each cell, recurrent weights times 0.4 to 10. Well below 0 a few "
        "iterations do, whatever the length; from there on they grow with the length, and the loop is cheaper."
    )
    return Picture("newton", figure, caption)
