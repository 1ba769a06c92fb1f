"""What the networks of language.py are worth as language models, and their picture."""

import statistics
from typing import Any

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.means import means, with_range
from experiments.harness.rows import Record, groups, where
from experiments.recurrences.architectures import NETWORKS, TITLES, TWELVE
from experiments.recurrences.reading import DEFAULT
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES


CLOSE = 0.1  # share of the best bits
GATED = ("gru", "lstm")
COLUMNS = {
    "text": "what was read",
    "network": "cell inside the two residual blocks, or attention",
    "seed": "of the draw of weights and of the training",
    "n": "networks",
    "parameters": "numbers that are trained",
    "bits": "per character of the validation text after all steps; in brackets the smallest and the largest of the "
    "seeds, where there are several, as in all columns",
    "at equal time": "bits at the latest score that every network has reached by the end of the fastest one",
    "trained": "tokens a second in training, of the fastest 150 steps",
    "generated": "tokens a second in generation, of one text",
    "carry": "bytes of the carry of one text",
}


def best_text(measured: list[Record]) -> str:
    """The text that answer and verdicts speak of: the default one if it was read, else the first."""
    texts = list(groups(measured, "text"))
    return DEFAULT if DEFAULT in texts else texts[0]


def to_rows(measured: list[Record]) -> list[Record]:
    """A line for each text, network and seed."""
    rows = []
    for own in groups(measured, "text").values():
        shortest = min(one["seconds_a_step"] * one["history"][-1][0] for one in own)
        for one in own:
            fields = {name: one[name] for name in ("text", "network", "seed", "parameters")}
            fields |= {"bits": one["history"][-1][1], "at equal time": at_time(one, shortest)}
            fields |= {"trained": one["trained"], "generated": one["generated"], "carry": one["carry_bytes"]}
            rows.append(fields)
    return rows


def at_time(one: Record, seconds: float) -> float | None:
    """The bits at the last score that was reached after so many seconds of training; None before the first."""
    reached = [bits for step, bits in one["history"] if step * one["seconds_a_step"] <= seconds * (1 + 1e-9)]
    return reached[-1] if reached else None


def by_network(rows: list[Record], column: str) -> dict[str, float]:
    """The median over seeds of a column, by network; a network that lacks one is left out."""
    values = {name: [row[column] for row in own] for name, own in groups(rows, "network").items()}
    return {name: statistics.median(own) for name, own in values.items() if None not in own}


def findings(results: dict[str, Any]) -> Findings:
    """Bits, times and memory."""
    rows = to_rows(results["measured"])
    text = best_text(results["measured"])
    own = where(rows, text=text)
    bits = by_network(own, "bits")
    best, worst = (pick(bits, key=lambda name: bits[name]) for pick in (min, max))
    span = f"from {bits[best]:.2f} ({TITLES[best]}) to {bits[worst]:.2f} ({TITLES[worst]})"
    ordered = sorted(rows, key=lambda row: (row["text"] != text, row["text"], NETWORKS.index(row["network"])))
    return Findings(
        title=f"Bits per character at equal parameters: {span}",
        answer=f"At equal parameters the bits per character are {span}.",
        verdicts=verdicts(own),
        means=means(ordered, ("text", "network"), SHOWN),
        rows=rows,
        columns=COLUMNS,
        pictures=[
            Picture(
                "language",
                draw(where(results["measured"], text=text), f"Bits per character: {span}"),
                f"The {text}; a line a network.",
            )
        ],
        seeds=sorted(groups(rows, "seed")),
    )


def _number(decimals):
    return lambda values: with_range(values, lambda value: f"{value:,.{decimals}f}", "-")


SHOWN = {"parameters": _number(0), "bits": _number(3), "at equal time": _number(3)}
SHOWN |= {"trained": _number(0), "generated": _number(0), "carry": _number(0)}


def verdicts(rows: list[Record]) -> list[Verdict]:
    """The parts of the expectation; a network that was not measured decides none."""
    bits, timely = by_network(rows, "bits"), by_network(rows, "at equal time")
    carries, speeds = by_network(rows, "carry"), by_network(rows, "generated")
    whole = set(TWELVE) <= bits.keys()
    others = {name: value for name, value in bits.items() if name != "rnn"}
    apart = max(others.values()) / min(others.values()) - 1 if others else 0.0
    ranks = {name: sorted(timely.values()).index(timely[name]) + 1 for name in GATED if name in timely}
    largest, slowest = max(carries, key=lambda n: carries[n]), min(speeds, key=lambda n: speeds[n])
    known = {"rnn", *GATED} <= bits.keys()
    return [
        Verdict(
            f"at equal parameters the bits of all but the RNN are within {CLOSE:.0%} of each other",
            f"within {apart:.1%}",
            apart <= CLOSE if whole else None,
        ),
        Verdict(
            "the RNN is behind GRU and LSTM",
            ", ".join(f"{TITLES[name]} {bits[name]:.3f}" for name in ("rnn", *GATED) if name in bits) or "not measured",
            bits["rnn"] > max(bits[name] for name in GATED) if known else None,
        ),
        Verdict(
            "at equal time on a CPU, GRU and LSTM are in the better half",
            ", ".join(f"{TITLES[name]} {rank}. of {len(timely)}" for name, rank in ranks.items()) or "not measured",
            max(ranks.values()) <= len(TWELVE) / 2 if whole and len(ranks) == len(GATED) else None,
        ),
        Verdict(
            "attention has the largest carry",
            f"{TITLES[largest]}, {carries[largest]:,.0f} bytes",
            largest == "attention" if whole else None,
        ),
        Verdict(
            "attention generates slowest",
            f"{TITLES[slowest]}, {speeds[slowest]:,.0f} tokens a second",
            slowest == "attention" if whole else None,
        ),
    ]


def draw(measured: list[Record], finding: str) -> Any:
    """Bits against steps and against time."""
    figure, axes = panels((11, 4.4), 1, 2, sharey=True)
    names = [name for name in NETWORKS if where(measured, network=name)]
    for place, name in enumerate(names):
        style = ("-", "--", ":")[place // len(SERIES)]
        for number, one in enumerate(where(measured, network=name)):
            steps, bits = zip(*one["history"], strict=True)
            label = TITLES[name] if number == 0 else None
            for panel, unit in zip(axes, (1.0, one["seconds_a_step"]), strict=True):
                xs = [step * unit for step in steps]
                panel.plot(xs, bits, style, color=SERIES[place % len(SERIES)], linewidth=1.2, label=label)
    finish(axes[0], title="at equal steps", xlabel="steps of training", ylabel="bits per character")
    finish(axes[1], title="at equal time", xlabel="seconds of training")
    axes[1].legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    headline(figure, finding)
    return figure
