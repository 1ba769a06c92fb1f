"""What the times of length.py say, and their picture."""

import statistics
from typing import Any

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.rows import Record, groups, where
from experiments.recurrences.architectures import TITLES
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES


LENGTHS = (64, 256, 1024, 4096, 16384)
MANY = 3  # times faster
VECTORS, MATRICES = ("mingru", "lru"), ("mlstm", "gated_deltanet")
AGREE = 1e-4  # largest difference of outputs, as a share of the largest output
WHATS = ("outputs", "with gradients")
COLUMNS = {
    "cell": "of the layer, 64 units",
    "batch": "texts at once",
    "length": "steps of time",
    "engine": "how the recurrence is computed",
    "outputs": "time of all outputs (ms)",
    "with gradients": "time of outputs and gradients (ms)",
    "times the loop's speed": "of outputs with gradients; above 1 is faster than scan",
    "difference": "largest difference between the engines' outputs, as a share of the largest output",
}


def to_rows(measured: list[Record]) -> list[Record]:
    """A line for each cell, batch, length and engine."""
    return [
        {
            **{name: one[name] for name in ("cell", "batch", "length")},
            "engine": engine,
            **{what: 1000 * taken[what] for what in WHATS},
            "times the loop's speed": one["seconds"]["scan"][WHATS[1]] / taken[WHATS[1]],
            "difference": one["difference"],
        }
        for one in measured
        for engine, taken in one["seconds"].items()
    ]


def speeds(rows: list[Record], cells: tuple[str, ...], least: int = 0) -> list[float]:
    """How many times the loop's speed the other engines of some cells have, from a length on."""
    return [
        row["times the loop's speed"]
        for row in rows
        if row["cell"] in cells and row["engine"] != "scan" and row["length"] >= least
    ]


def findings(results: dict[str, Any]) -> Findings:
    """Where the engines cross."""
    measured = results["measured"]
    rows, device = to_rows(measured), measured[0]["device"]
    vectors, matrices = speeds(rows, VECTORS), speeds(rows, MATRICES)
    middle, chunks = statistics.median(vectors), statistics.median(matrices)
    title = f"On {device} the parallel prefix has {middle:.2g} times the loop's speed, chunks {chunks:.2g} times"
    return Findings(
        title=title,
        answer=f"On {device} the parallel prefix runs at {middle:.2g} times the loop's speed (median), and chunks of "
        f"matrix memories at {chunks:.2g} times.",
        verdicts=verdicts(rows, device),
        means=rows,
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("length", draw(rows, title), "Outputs with gradients; the best of the rounds.")],
    )


def verdicts(rows: list[Record], device: str) -> list[Verdict]:
    """The parts of the expectation."""
    on_cpu = device == "cpu"
    vectors, matrices, far = speeds(rows, VECTORS), speeds(rows, MATRICES), speeds(rows, VECTORS, 1024)
    worst = max(row["difference"] for row in rows)
    return [
        Verdict(
            "on CPUs the loop is faster for a vector state at every length",
            f"{min(vectors):.2g} to {max(vectors):.2g} times its speed",
            max(vectors) < 1 if on_cpu else None,
        ),
        Verdict(
            f"chunks are faster than the loop for matrices, at least {MANY} times (median)",
            f"{statistics.median(matrices):.2g} times",
            statistics.median(matrices) >= MANY,
        ),
        Verdict(
            "on an accelerator the prefix wins from some hundred steps on (1,024)",
            f"{min(far):.2g} to {max(far):.2g} times" if far else "not measured",
            None if on_cpu or not far else min(far) > 1,
        ),
        Verdict("the engines of one cell agree", f"largest difference {worst:.1e}", worst < AGREE),
    ]


def draw(rows: list[Record], finding: str) -> Any:
    """Time a step against the length, a panel for each batch and kind of cell."""
    batches, cells = list(groups(rows, "batch")), list(groups(rows, "cell"))
    figure, axes = panels((3.0 * len(cells), 3.0 * len(batches)), len(batches), len(cells), sharex=True, sharey="row")
    for place, panel in enumerate(axes):
        batch, cell = batches[place // len(cells)], cells[place % len(cells)]
        for colour, (engine, own) in zip(
            SERIES, groups(where(rows, batch=batch, cell=cell), "engine").items(), strict=False
        ):
            xs = [row["length"] for row in own]
            panel.plot(xs, [1000 * row[WHATS[1]] / row["length"] for row in own], "o-", color=colour, label=engine)
        panel.set(xscale="log", yscale="log")
        finish(panel, title=f"{TITLES[cell]}, batch {batch}")
        panel.legend(frameon=False, fontsize=8)
    for panel in axes[-len(cells) :]:
        panel.set_xlabel("length (steps)")
    for panel in axes[:: len(cells)]:
        panel.set_ylabel("time a step (µs)")
    headline(figure, finding)
    return figure
