"""What the networks of recall.py recall, and their picture."""

from typing import Any

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.means import percent
from experiments.harness.rows import Record, groups, where
from experiments.recurrences.architectures import NETWORKS, TITLES
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES


PAIRS = (4, 8, 16, 32)
RECALLED = 0.9  # share of right values
MATRICES, ATTENTION = ("mlstm", "gated_deltanet_1", "gated_deltanet"), ("attention",)
OLD, LINEAR = ("rnn", "gru", "lstm"), ("mingru", "minlstm", "lru", "rglru")
COLUMNS = {
    "network": "cell inside the two residual blocks, or attention",
    "size": "units of a layer",
    "seed": "of the draw of weights and texts",
    "parameters": "numbers that are trained",
    "state": "numbers in the carry of one text",
    "steps": "of training, until ready",
    "loss": "in training at the end (nats a value)",
} | {f"{pairs} pairs": f"share of right values when {pairs} pairs were told" for pairs in PAIRS}


def to_rows(measured: list[Record]) -> list[Record]:
    """A line for each network and size."""
    rows = []
    for one in measured:
        fields = {name: one[name] for name in ("network", "size", "seed", "parameters", "state")}
        fields |= {f"{pairs} pairs": one["shares"][str(pairs)] for pairs in PAIRS}
        rows.append(fields | {"steps": one["history"][-1][0], "loss": one["history"][-1][1]})
    return rows


def best(rows: list[Record], names) -> float | None:
    """The best share of right values with most pairs, over sizes and these networks."""
    shares = [row[f"{PAIRS[-1]} pairs"] for row in rows if row["network"] in names]
    return max(shares) if shares else None


def findings(results: dict[str, Any]) -> Findings:
    """What is recalled."""
    rows = to_rows(results["measured"])
    by_network = groups(rows, "network")
    able = [TITLES[name] for name in NETWORKS if name in by_network and (best(rows, (name,)) or 0) >= RECALLED]
    steps, who = max(row["steps"] for row in rows), ", ".join(able) or "none"
    title = f"Within {steps:,} steps {PAIRS[-1]} pairs are recalled by {who}"
    means = [
        {"network": TITLES[row["network"]], "size": row["size"], "state": row["state"]}
        | {f"{pairs} pairs": percent(row[f"{pairs} pairs"]) for pairs in PAIRS}
        for row in rows
    ]
    return Findings(
        title=title,
        answer=f"Within {steps:,} steps of training the value of one of {PAIRS[-1]} keys is recalled by {who}.",
        verdicts=verdicts(rows),
        means=means,
        rows=rows,
        columns=COLUMNS,
        pictures=[
            Picture(
                "recall", draw(rows, title), "A line a network, a point a size; dotted: a guess among the values told."
            )
        ],
        seeds=sorted(groups(rows, "seed")),
    )


def verdicts(rows: list[Record]) -> list[Verdict]:
    """The parts of the expectation."""
    by_network = groups(rows, "network")
    hard = f"{PAIRS[-1]} pairs"
    growing = [own[-1][hard] >= own[0][hard] for own in by_network.values() if len(own) > 1]

    def part(text, names, holds):
        found = best(rows, names)
        known = set(names) <= by_network.keys()
        return Verdict(text, "not measured" if found is None else f"best {percent(found)}", holds() if known else None)

    return [
        Verdict(
            "what can be recalled grows with the state (largest size against smallest)",
            f"{sum(growing)} of {len(growing)} networks",
            all(growing) if growing else None,
        ),
        part(
            f"matrix memories recall {PAIRS[-1]} pairs (each at its best size)",
            MATRICES,
            lambda: all((best(rows, (name,)) or 0) >= RECALLED for name in MATRICES),
        ),
        part(
            "so does attention",
            ATTENTION,
            lambda: (best(rows, ATTENTION) or 0) >= RECALLED,
        ),
        part(
            "RNN, GRU and LSTM do not at any size",
            OLD,
            lambda: (best(rows, OLD) or 0) < RECALLED,
        ),
        part(
            "nor do the linear recurrences",
            LINEAR,
            lambda: (best(rows, LINEAR) or 0) < RECALLED,
        ),
    ]


def draw(rows: list[Record], finding: str) -> Any:
    """The share of right values against the size of the carry, a panel for each number of pairs."""
    figure, axes = panels((13, 4.2), 1, len(PAIRS), sharey=True, sharex=True)
    networks = [name for name in NETWORKS if where(rows, network=name)]
    for panel, pairs in zip(axes, PAIRS, strict=True):
        for place, name in enumerate(networks):
            own = sorted(where(rows, network=name), key=lambda row: row["state"])
            xs, ys = [row["state"] for row in own], [row[f"{pairs} pairs"] for row in own]
            style = ("o-", "s--", "^:")[place // len(SERIES)]
            panel.plot(xs, ys, style, color=SERIES[place % len(SERIES)], markersize=4, label=TITLES[name])
        panel.axhline(1 / pairs, color="grey", linestyle=":", linewidth=1)
        panel.set_xscale("log")
        finish(panel, title=f"{pairs} pairs", xlabel="numbers in the carry", ylim=(-0.03, 1.03))
    axes[0].set_ylabel("share of right values")
    axes[-1].legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    headline(figure, finding)
    return figure
