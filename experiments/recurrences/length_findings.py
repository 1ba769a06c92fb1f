"""What the times of length.py say, and their picture."""

import statistics
from typing import Any

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.rows import Record, groups, where
from experiments.recurrences.architectures import TITLES
from lm_jax.cells.engines.from_length import faster_from as table_from
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES


LENGTHS = (64, 256, 1024, 4096, 16384)
MANY = 3  # times faster
FAR, EVEN, SAME = 4096, 1024, 1.5  # steps; steps; times the time of a step
VECTORS, MATRICES, NEWTON = ("mingru", "lru"), ("mlstm", "gated_deltanet"), ("diagonal_gru",)
AGREE = 1e-4  # largest difference of outputs, as a share of the largest output
WHATS = ("outputs", "with gradients")
COLUMNS = {
    "cell": "of the layer, 64 units",
    "batch": "texts at once",
    "length": "steps of time",
    "engine": "how the recurrence is computed",
    "outputs": "time of all outputs (ms)",
    "with gradients": "time of outputs and gradients (ms)",
    "times the loop's speed": "of outputs with gradients; above 1 is faster than scan; nothing where there is no loop",
    "difference": "largest difference between the engines' outputs, as a share of the largest output",
}


def to_rows(measured: list[Record]) -> list[Record]:
    """A line for each cell, batch, length and engine."""
    return [
        {
            **{name: one[name] for name in ("cell", "batch", "length")},
            "engine": engine,
            **{what: 1000 * taken[what] for what in WHATS},
            "times the loop's speed": one["seconds"]["scan"][WHATS[1]] / taken[WHATS[1]]
            if "scan" in one["seconds"]
            else None,
            "difference": one["difference"],
        }
        for one in measured
        for engine, taken in one["seconds"].items()
    ]


def speeds(rows: list[Record], cells: tuple[str, ...], least: int = 0, batch: int | None = None) -> list[float]:
    """How many times the loop's speed the other engines of some cells have, from a length on, of one batch or all."""
    return [
        row["times the loop's speed"]
        for row in rows
        if row["cell"] in cells and row["engine"] != "scan" and row["length"] >= least and batch in (None, row["batch"])
    ]


def faster_from(rows: list[Record], engine: str) -> int | None:
    """The length from which on an engine is faster than the loop, in the median over cells and batches; None: never."""
    first = None
    for length, own in sorted(groups(where(rows, engine=engine), "length").items(), reverse=True):
        if statistics.median(row["times the loop's speed"] for row in own) <= 1:
            break
        first = length
    return first


def chosen_as_measured(rows: list[Record], backend: str) -> tuple[str, bool]:
    """What "auto" chooses on a backend, and whether it is what these rows say."""
    found, agree = [], True
    for engine in ("associative", "chunkwise"):
        measured, table = faster_from(rows, engine), table_from(engine, backend)
        shortest = min(row["length"] for row in rows)
        agree &= measured == table or (measured == shortest and table is not None and table <= shortest)
        found.append(f"{engine} from {table} steps on, measured {measured}")
    return "; ".join(found).replace("from None steps on", "never").replace("measured None", "measured never"), agree


def growth(rows: list[Record]) -> list[float]:
    """How many times the time of a step of attention at EVEN steps its longest text has, for each batch."""
    found = []
    for own in groups(where(rows, cell="attention"), "batch").values():
        steps = {row["length"]: row[WHATS[1]] / row["length"] for row in own}
        if EVEN in steps:
            found.append(steps[max(steps)] / steps[EVEN])
    return found


def findings(results: dict[str, Any]) -> Findings:
    """Where the engines cross."""
    measured = results["measured"]
    rows, device = to_rows(measured), measured[0]["device"]
    vectors, matrices = speeds(rows, VECTORS), speeds(rows, MATRICES)
    middle, chunks = statistics.median(vectors), statistics.median(matrices)
    machine = "a CPU" if device == "cpu" else device
    title = f"On {machine} the parallel prefix has {middle:.2g} times the loop's speed, chunks {chunks:.2g} times"
    return Findings(
        title=title,
        answer=f"On {machine} the parallel prefix runs at {middle:.2g} times the loop's speed (median), and chunks of "
        f"matrix memories at {chunks:.2g} times.",
        verdicts=verdicts(rows, device, measured[0]["backend"]),
        means=rows,
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("length", draw(rows, title), "Outputs with gradients; the best of the rounds.")],
    )


def verdicts(rows: list[Record], device: str, backend: str) -> list[Verdict]:
    """The parts of the expectation."""
    chosen, agree = chosen_as_measured(rows, backend)
    on_cpu = device == "cpu"
    vectors, matrices, far = speeds(rows, VECTORS), speeds(rows, MATRICES), speeds(rows, VECTORS, 1024)
    newton, alone, grown = speeds(rows, NEWTON), speeds(rows, VECTORS, FAR, 1), growth(rows)
    worst = max(row["difference"] for row in rows)
    return [
        Verdict(
            "on CPUs the loop is faster for a vector state at every length",
            _times(vectors),
            max(vectors) < 1 if on_cpu else None,
        ),
        Verdict(
            f"on an accelerator the prefix wins with batch 1 at {FAR:,} steps and more",
            f"{_times(alone)}{', on a CPU' if on_cpu else ''}",
            None if on_cpu or not alone else min(alone) > 1,
        ),
        Verdict(
            "on CPUs the loop is faster than Newton's iterations",
            _times(newton),
            max(newton) < 1 if on_cpu and newton else None,
        ),
        Verdict(
            f"attention costs the same a step at every length from {EVEN:,} steps on (within a factor of {SAME})",
            f"at most {max(grown):.2g} times" if grown else "not measured",
            max(grown) <= SAME if grown else None,
        ),
        Verdict(
            f"chunks are faster than the loop for matrices, at least {MANY} times (median)",
            f"{statistics.median(matrices):.2g} times",
            statistics.median(matrices) >= MANY,
        ),
        Verdict(
            "on an accelerator the prefix wins from some hundred steps on (1,024)",
            _times(far),
            None if on_cpu or not far else min(far) > 1,
        ),
        Verdict('what "auto" chooses is what is faster', chosen, agree),
        Verdict("the engines of one cell agree", f"largest difference {worst:.1e}", worst < AGREE),
    ]


def _times(found):
    return f"{min(found):.2g} to {max(found):.2g} times its speed" if found else "not measured"


def draw(rows: list[Record], finding: str) -> Any:
    """Time a step against the length, a panel for each batch and kind of cell."""
    wanted = [(batch, cell) for batch in groups(rows, "batch") for cell in groups(rows, "cell")]
    columns = 4
    count = -(-len(wanted) // columns)
    figure, axes = panels((3.1 * columns, 2.6 * count), count, columns, sharex=True, sharey=True)
    for panel, (batch, cell) in zip(axes, wanted, strict=False):
        own = groups(where(rows, batch=batch, cell=cell), "engine")
        for colour, (engine, ones) in zip(SERIES, own.items(), strict=False):
            xs = [row["length"] for row in ones]
            panel.plot(xs, [1000 * row[WHATS[1]] / row["length"] for row in ones], "o-", color=colour, label=engine)
        panel.set(xscale="log", yscale="log")
        finish(panel)
        panel.set_title(f"{TITLES[cell]}, batch {batch}", loc="left", fontsize=9)
        panel.legend(frameon=False, fontsize=8)
    for panel in axes[len(wanted) :]:
        panel.set_visible(False)
    figure.supxlabel("length (steps)", fontsize=9)
    figure.supylabel("time a step (µs)", fontsize=9)
    headline(figure, finding)
    return figure
