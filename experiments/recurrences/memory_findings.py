"""What the laboratory says of the networks of memory.py, and their pictures."""

import math
import statistics
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.means import means, with_range
from experiments.harness.rows import Record, groups, where, without
from experiments.recurrences.architectures import NETWORKS, TITLES, TWELVE
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES


CONTEXT = 64  # characters that a layer of attention reaches back to
REACH = 2 * (CONTEXT - 1)  # of two layers through each other
STAGES = ("before training", "after training")
SHORT, LONG, ALIKE = 20, 50, 4
SLOW = ("lru", "rglru")
GROUPS = {
    "nonlinear states": ("rnn", "gru", "lstm", "slstm", "cornn", "diagonal_gru", "diagonal_lstm"),
    "linear states": ("mingru", "minlstm", "lru", "rglru"),
    "matrices and attention": ("mlstm", "gated_deltanet_1", "gated_deltanet", "attention"),
}
COLUMNS = {
    "network": "cell inside the two residual blocks, or attention",
    "stage": "before training or after it",
    "step": "steps of training",
    "seed": "of the draw of weights and of the training",
    "n": "networks",
    "parameters": "numbers that are trained",
    "state": "numbers in the carry of one text",
    "bits": "per character of held-out text; in brackets the smallest and the largest of the seeds, as in all columns",
    "horizon_10": "characters back from which the gradient is below 10 % of that one character back (median)",
    "horizon_1": "the same of 1 %",
    "half_life": "the same of one half",
    "mass_lag": "characters back within which 95 % of the gradient's norm lies",
    "factor": "what a character back multiplies the gradient by, by a line through the logarithms of lags 1 to 21",
    "exponent": "largest Lyapunov exponent, nats a character; nothing: minus infinity",
    "functional": "functional horizon: characters of context from which more are worth less than 1 % of cross-entropy",
    "functional_from_nothing": "the same where the context is read from the initial carry, not from one of elsewhere",
    "cosine": "between the gradient of the cells' weights truncated after 10 characters and the whole one",
}
LAGS = ("horizon_10", "horizon_1", "half_life", "mass_lag", "functional", "functional_from_nothing")


def findings(results: dict[str, Any]) -> Findings:
    """How far back gradients reach, and what is used."""
    measured, largest = results["measured"], results["max_lag"]
    rows = [without(one, "log_median", "cut_cost") for one in measured]
    after = reach(rows, STAGES[-1], "horizon_1", largest)
    names = [name for name in NETWORKS if name in after]
    shortest, longest = (pick(names, key=lambda name: after[name]) for pick in (min, max))
    near, far = (_characters(after[name], largest) for name in (shortest, longest))
    title = f"After training 1 % of the gradient is left {near} back ({TITLES[shortest]}) to {far} ({TITLES[longest]})"
    return Findings(
        title=title,
        answer=f"After training the gradient falls below 1 % within {near} in the {TITLES[shortest]}, and {far} in the "
        f"{TITLES[longest]}.",
        verdicts=verdicts(rows, largest),
        means=_means(rows, largest),
        rows=rows,
        columns=COLUMNS,
        pictures=[
            Picture("memory", draw_profiles(measured, names, title), "Median over predictions, a line a seed."),
            Picture("use", draw_use(rows, names, largest), "A dot a network, seeds alike; after training."),
        ],
        seeds=sorted(groups(rows, "seed")),
    )


def reach(rows: list[Record], stage: str, column: str, largest: float) -> dict[str, float]:
    """The median over seeds of a distance at a stage, by network; one that was not reached is beyond the largest."""
    found = {}
    for name, own in groups(where(rows, stage=stage), "network").items():
        values = [largest + 1 if row[column] is None else row[column] for row in own]
        found[name] = statistics.median_low(values)
    return found


def exponents(
    rows: list[Record], stage: str, pick: Callable[[Iterable[float]], float] = statistics.median_low
) -> dict[str, float]:
    """The largest Lyapunov exponent at a stage, by network; of several seeds the one that is picked."""
    return {
        name: pick([-math.inf if row["exponent"] is None else row["exponent"] for row in own])
        for name, own in groups(where(rows, stage=stage), "network").items()
    }


def _means(rows, largest):
    def lags(values):
        return with_range(values, lambda lag: f"{lag:.0f}", f"> {largest}")

    def exponent(values):
        return "-inf" if None in values else with_range(values, lambda value: f"{value:.2g}")

    shown = {"bits": lambda values: with_range(values, lambda bits: f"{bits:.2f}")}
    shown |= dict.fromkeys(LAGS, lags)
    short = lambda values: with_range(values, lambda value: f"{value:.2f}", "-")  # noqa: E731
    shown |= {"factor": short, "exponent": exponent, "cosine": short}
    ordered = sorted(rows, key=lambda row: (STAGES.index(row["stage"]), NETWORKS.index(row["network"])))
    return means(ordered, ("stage", "network"), shown)


def verdicts(rows: list[Record], largest: int) -> list[Verdict]:
    """The parts of the expectation; a network that was not measured decides none."""
    before, after = (reach(rows, stage, "horizon_1", largest) for stage in STAGES)
    used = reach(rows, STAGES[-1], "functional", largest)
    chaos = exponents(rows, STAGES[-1], max)
    slow = [before[name] for name in SLOW if name in before]
    attention = where(rows, network="attention")
    ends = [row["exponent"] is None for row in attention]
    whole = set(TWELVE) <= after.keys()
    worst = max(chaos, key=lambda name: chaos[name])
    return [
        Verdict(
            f"before training the gradient falls below 1 % within {SHORT} characters in the RNN",
            _characters(before.get("rnn"), largest),
            before["rnn"] <= SHORT if "rnn" in before else None,
        ),
        Verdict(
            f"in LRU and RG-LRU not within {LONG}",
            ", ".join(_characters(lag, largest) for lag in slow) or "not measured",
            min(slow) > LONG if len(slow) == len(SLOW) else None,
        ),
        Verdict(
            "after training all exponents are negative",
            f"the largest is {chaos[worst]:.2g}, of the {TITLES[worst]}",
            chaos[worst] < 0 if whole else None,
        ),
        Verdict(
            "attention's exponent is minus infinity",
            "so it is" if ends and all(ends) else "it is not" if ends else "not measured",
            all(ends) if ends else None,
        ),
        Verdict(
            f"after training all functional horizons are within a factor of {ALIKE} of each other",
            f"{min(used.values()):.0f} to {_characters(max(used.values()), largest)}",
            max(used.values()) <= ALIKE * min(used.values()) if whole else None,
        ),
    ]


def _characters(lag, largest):
    if lag is None:
        return "not measured"
    return f"{lag:.0f} characters" if lag <= largest else f"more than {largest} characters"


def draw_profiles(measured: list[Record], names: list[str], finding: str) -> Any:
    """The share of the gradient that is left against the distance: a row a stage, a panel a kind of network."""
    figure, axes = panels((12, 6.4), len(STAGES), len(GROUPS), sharex=True, sharey=True)
    for place, panel in enumerate(axes):
        stage, kind = STAGES[place // len(GROUPS)], list(GROUPS)[place % len(GROUPS)]
        for colour, name in zip(SERIES, [name for name in GROUPS[kind] if name in names], strict=False):
            for number, one in enumerate(where(measured, stage=stage, network=name)):
                logs = [math.nan if log is None else log for log in one["log_median"]]
                label = TITLES[name] if number == 0 else None
                panel.plot(range(1, len(logs) + 1), np.exp(logs), color=colour, linewidth=1.1, label=label)
        panel.set_yscale("log")
        finish(panel, title=f"{kind}, {stage}" if place < len(GROUPS) else stage, ylim=(1e-6, 20))
        if place < len(GROUPS) and panel.get_legend_handles_labels()[0]:
            panel.legend(frameon=False, fontsize=7, loc="lower left")
    for panel in axes[-len(GROUPS) :]:
        panel.set_xlabel("distance (characters)")
    for panel in axes[:: len(GROUPS)]:
        panel.set_ylabel("share of the gradient")
    headline(figure, finding)
    return figure


def draw_use(rows: list[Record], names: list[str], largest: int) -> Any:
    """What is used against what the gradient reaches, after training."""
    figure, (axes,) = panels((7.2, 4.6))
    reached, used = (reach(rows, STAGES[-1], column, largest) for column in ("horizon_1", "functional"))
    heights = (4, -10, 12)  # of the names, in turns: dots side by side are close
    for place, name in enumerate(sorted(names, key=lambda name: (used[name], reached[name]))):
        offset = 0, heights[place % len(heights)]
        axes.plot(reached[name], used[name], "o", color="black", markersize=4)
        axes.annotate(TITLES[name], (reached[name], used[name]), offset, textcoords="offset points", fontsize=7)
    finish(
        axes,
        xlabel=f"distance at which 1 % of the gradient is left (characters; {largest + 1}: not by then)",
        ylabel="functional horizon (characters)",
        xlim=(0, 1.25 * (largest + 1)),
        ylim=(0, 1.1 * max(used.values()) + 2),
    )
    headline(figure, "Far gradients are not far use")
    return figure
