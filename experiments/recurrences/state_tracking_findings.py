"""What the networks of state_tracking.py solve, and their pictures."""

import statistics
from typing import Any

import numpy as np

from experiments.harness import Findings, Verdict
from experiments.harness.figures import headline, panels
from experiments.harness.means import means, percent, with_range
from experiments.harness.rows import Record, groups, where
from experiments.recurrences.architectures import NETWORKS, TITLES, TWELVE
from lm_jax.report.study import Picture


SEEN = 40  # longest strings of the training
SOLVED = 0.95  # share of right answers beyond the lengths of the training
CHANCE = {"parity": 0.5, "sum modulo 5": 0.2, "even pairs": 0.5}
POSITIVE = ("mingru", "minlstm", "lru", "rglru", "mlstm", "gated_deltanet_1", "attention")
SIGNED = ("rnn", "gru", "lstm", "slstm", "gated_deltanet")
HARD_PAIRS = ("mlstm", "attention")
COLUMNS = {
    "network": "cell inside the two residual blocks, or attention",
    "task": "what is asked for after every token",
    "seed": "of the draw of weights and strings",
    "n": "networks",
    "parameters": "numbers that are trained",
    "state": "numbers in the carry of one string",
    "seen": f"share of right answers on strings of up to {SEEN} tokens, as in training; median of the seeds",
    "longer": f"share of right answers on strings of {SEEN + 1} to 256 tokens; median of the seeds, in brackets the "
    "smallest and the largest",
    "steps": "of training, until ready",
    "loss": "in training at the end (nats an answer)",
}


def to_rows(measured: list[Record]) -> list[Record]:
    """A line for each network, task and seed."""
    rows = []
    for one in measured:
        steps, loss, seen, longer = one["history"][-1]
        fields = {name: one[name] for name in ("network", "task", "seed", "parameters", "state")}
        rows.append(fields | {"seen": seen, "longer": longer, "steps": steps, "loss": loss})
    return rows


def shares(rows: list[Record], task: str) -> dict[str, list[float]]:
    """Shares of right answers on the longer strings, by network."""
    return {name: [row["longer"] for row in own] for name, own in groups(where(rows, task=task), "network").items()}


def solved(rows: list[Record], task: str, enough: float = SOLVED) -> list[str]:
    """The networks of which the median seed solves a task."""
    return [name for name, own in shares(rows, task).items() if statistics.median_low(own) >= enough]


def findings(results: dict[str, Any]) -> Findings:
    """Which networks follow which states."""
    measured = results["measured"]
    rows = to_rows(measured)
    tasks = list(groups(rows, "task"))
    networks = [name for name in NETWORKS if name in groups(rows, "network")]
    able = solved(rows, "parity")
    title = f"{len(able)} of {len(networks)} architectures follow parity beyond the lengths they learnt from"
    return Findings(
        title=title,
        answer=f"Parity of longer strings is solved by {_names(able)}.",
        verdicts=verdicts(rows),
        means=means(
            rows,
            ("task", "network"),
            {"seen": lambda v: with_range(v, percent), "longer": lambda v: with_range(v, percent)},
        ),
        rows=rows,
        columns=COLUMNS,
        pictures=[
            Picture(
                "state_tracking",
                draw_shares(rows, tasks, networks, title),
                "A dot a seed; dotted: the share that guessing gets.",
            ),
            Picture(
                "by_length",
                draw_lengths(measured, networks, f"Right at parity of every length: {_names(able)}"),
                "A line a seed, each over the same test strings.",
            ),
        ],
        seeds=sorted(groups(rows, "seed")),
    )


def _names(names):
    titles = [TITLES[name] for name in names]
    if len(titles) > 1:
        return f"{', '.join(titles[:-1])} and {titles[-1]}"
    return titles[0] if titles else "none"


def verdicts(rows: list[Record]) -> list[Verdict]:
    """The parts of the expectation; a network that was not trained decides none."""
    parity, pairs = shares(rows, "parity"), shares(rows, "even pairs")
    able, pairs_able = solved(rows, "parity"), solved(rows, "even pairs")
    failed = [name for name in POSITIVE if name in parity and name not in able]
    signed = [name for name in SIGNED if name in able]
    others = [name for name in pairs if name not in HARD_PAIRS]
    return [
        Verdict(
            "minGRU, minLSTM, LRU, RG-LRU, mLSTM, gated DeltaNet with beta to 1 and attention fail at parity of longer "
            "strings",
            f"fail: {_names(failed)}",
            len(failed) == len(POSITIVE) if set(POSITIVE) <= parity.keys() else None,
        ),
        Verdict(
            "RNN, GRU, LSTM, sLSTM and gated DeltaNet with beta to 2 solve parity of longer strings",
            f"solve it: {_names(signed)}",
            len(signed) == len(SIGNED) if set(SIGNED) <= parity.keys() else None,
        ),
        Verdict(
            "even pairs are solved by all but the mLSTM and attention",
            f"solve them: {_names(pairs_able)}",
            sorted(others) == sorted(pairs_able) if set(TWELVE) <= pairs.keys() else None,
        ),
    ]


def draw_shares(rows: list[Record], tasks: list[str], networks: list[str], finding: str) -> Any:
    """A dot a seed for each network, a panel a task."""
    figure, axes = panels((4.1 * len(tasks), 1.5 + 0.3 * len(networks)), 1, len(tasks), sharey=True)
    for panel, task in zip(axes, tasks, strict=True):
        for place, name in enumerate(networks):
            own = [row["longer"] for row in where(rows, task=task, network=name)]
            panel.plot(own, [place] * len(own), "o", color="black", alpha=0.6, markersize=5)
        panel.axvline(CHANCE[task], color="grey", linestyle=":", linewidth=1)
        panel.set(xlim=(-0.03, 1.05), xlabel="share of right answers", yticks=range(len(networks)))
        panel.set_yticklabels([TITLES[name] for name in networks])
        panel.set_title(f"{task}, strings of {SEEN + 1} to 256", loc="left", fontsize=10)
        panel.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    axes[0].annotate("chance", (CHANCE[tasks[0]], 0.5), (3, -3), textcoords="offset points", color="grey", fontsize=8)
    headline(figure, finding)
    return figure


def draw_lengths(measured: list[Record], networks: list[str], finding: str) -> Any:
    """Right answers at parity against the length of the string, a small panel a network."""
    columns = 5
    count = -(-len(networks) // columns)
    figure, axes = panels((11, 1.3 + 1.5 * count), count, columns, sharex=True, sharey=True)
    for panel, name in zip(axes, networks, strict=False):
        for one in where(measured, task="parity", network=name):
            panel.plot(np.arange(1, len(one["by_length"]) + 1), one["by_length"], linewidth=0.9)
        panel.axvline(SEEN, color="grey", linestyle=":", linewidth=1)
        panel.set_title(TITLES[name], loc="left", fontsize=9)
    for panel in axes[len(networks) :]:
        panel.set_visible(False)
    figure.supxlabel("length of the string (tokens); dotted: the longest in training", fontsize=9)
    figure.supylabel("share of right parities", fontsize=9)
    headline(figure, finding)
    return figure
