"""The prediction of scaling.py for chips, its answer, table and picture."""

import itertools
from typing import NamedTuple

from experiments.harness import Findings, Verdict
from experiments.harness.figures import draw_lines, finish, headline, log_ticks, panels
from experiments.harness.rows import where, without
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES, label_ends


COUNTS = (1, 2, 4, 8)
ENGINES = ("fused", "scan")
CHIPS = (8, 16, 32, 64, 128, 256)
UTILISATION = 0.3  # assumed
ITERATION = 8e-6  # seconds, as seen on GPUs for a loop of small kernels; assumed for TPUs too


class Link(NamedTuple):
    """Chips of one kind and what connects them: peak FLOP/s in bfloat16, bytes/s of a ring, seconds a hop (assumed)."""

    peak: float
    bandwidth: float
    latency: float
    source: str


LINKS = {
    "TPU v5e, ICI": Link(
        197e12,
        2 * 45e9,
        1e-6,
        "Google Cloud, TPU v5e: 197 TFLOP/s, 1,600 Gbit/s of ICI a chip = 4 links of 45 GB/s each way; a ring uses two",
    ),
    "H100, NVLink 4": Link(
        989e12, 450e9, 3e-6, "NVIDIA H100 SXM data sheet: 989 TFLOP/s dense, 900 GB/s both ways together"
    ),
    "H100, 100 Gb Ethernet": Link(989e12, 12.5e9, 30e-6, "IEEE 802.3: 100 Gbit/s, one port a chip"),
}


def assumptions() -> dict:
    """What the prediction rests on."""
    return {
        "utilisation": UTILISATION,
        "seconds_per_iteration": ITERATION,
        "overlap": 0,
        "links": {name: link._asdict() for name, link in LINKS.items()},
    }


def predict(rows: list[dict], weights: int, tokens: int, iterations: int) -> list[dict]:
    """Efficiency with the vocabulary whole, for each engine, link and number of chips.

    weights: that a token is multiplied by; tokens: of a step on one chip; iterations: of the loops over time.
    """
    predicted = []
    for row in where(rows, vocab_shards=1):
        reduced = row["moved"]["all-reduce"]
        for (name, link), n in itertools.product(LINKS.items(), CHIPS):
            compute = 6 * weights * tokens / (UTILISATION * link.peak)
            compute += 2 * iterations * ITERATION
            seconds = 2 * (n - 1) / n * reduced["bytes"] / link.bandwidth
            seconds += 2 * (n - 1) * link.latency * reduced["times"]
            facts = {"engine": row["engine"], "link": name, "chips": n}
            facts |= {"compute_ms": 1e3 * compute, "all_reduce_ms": 1e3 * seconds}
            predicted.append({**facts, "efficiency": compute / (compute + seconds)})
    return predicted


def draw(measured: list[dict], predicted: list[dict], title: str):
    """Overhead of simulated devices; predicted efficiency on chips, a panel an engine."""
    figure, (left, *others) = panels((12.5, 4.2), 1, 3)
    for engine, colour in zip(ENGINES, SERIES, strict=False):
        values = [row["efficiency"] for row in where(measured, engine=engine)]
        left.plot(COUNTS, values, "o-", color=colour, markersize=4, label=engine)
    left.legend(frameon=False, title="engine", alignment="left", loc="lower left")
    log_ticks(left, COUNTS, base=2)
    words = {"xlabel": "simulated devices on the same cores", "ylabel": "time of one device / time of n"}
    finish(left, title="Measured: overhead alone", ylim=(0, 1.35), **words)
    ends = []
    for axes, engine in zip(others, ENGINES, strict=True):
        lines = {}
        for colour, name in zip(SERIES, LINKS, strict=False):
            lines[name] = (CHIPS, [row["efficiency"] for row in where(predicted, engine=engine, link=name)], colour)
        ends.append(draw_lines(axes, lines))
        log_ticks(axes, CHIPS, base=2)
        words = {"xlabel": "chips, with a fixed batch each", "ylabel": "efficiency"}
        finish(axes, title=f"Predicted, not measured: {engine}", ylim=(0, 1.05), **words)
    headline(figure, title)
    figure.draw_without_rendering()  # the layout moves the axes, and labels are placed in pixels
    for axes, of_axes in zip(others, ends, strict=True):
        label_ends(axes, of_axes)
    return figure


def to_rows(results: dict) -> list[dict]:
    """What was measured, then what was counted, then what is predicted."""
    rows = []
    for kind in ("measured", "counted", "predicted"):
        for row in results[kind]:
            reduced = row.get("moved", {}).get("all-reduce", {"times": None, "bytes": None})
            rows.append({"kind": kind, **without(row, "moved"), "all-reduced bytes": reduced["bytes"]})
    return rows


COLUMNS = {
    "kind": "measured here, counted in the compiled program, or predicted by the formulas of the script",
    "engine": "how the recurrence is computed",
    "devices": "simulated devices",
    "step_ms": "least time of a training step (ms)",
    "median_step_ms": "median of the same (ms)",
    "efficiency": "time of one device by that of n; for chips, compute by compute and communication",
    "parameter_bytes": "parameters on one device (bytes)",
    "all-reduced bytes": "what a device adds up with the others in a step (bytes)",
    "vocab_shards": "parts that the vocabulary is cut into",
    "link": "chips and what connects them",
    "chips": "how many",
    "compute_ms": "predicted time of compute in a step (ms)",
    "all_reduce_ms": "predicted time of communication in a step (ms)",
}
CLOSE = 0.01


def findings(results: dict) -> Findings:
    """What was measured, counted and predicted says."""
    whole = {row["engine"]: row for row in where(results["counted"], vocab_shards=1)}
    moved = {engine: row["moved"]["all-reduce"]["bytes"] for engine, row in whole.items()}
    ratios = {engine: moved[engine] / row["parameter_bytes"] for engine, row in whole.items()}
    sums = whole["scan"]["moved"]["all-reduce"]["times"]
    rows, times = to_rows(results), moved["scan"] / moved["fused"]
    title = f"The plain scan exchanges {times:.1f} times as many bytes between devices as the fused engine"
    caption = (
        "Left: the same work on simulated devices that share the cores of one machine. Middle and right: predicted for "
        "chips of two kinds and three links, not measured."
    )
    return Findings(
        title=title,
        answer=f"With the fused engine a device exchanges every gradient once, {moved['fused'] / 1e6:,.0f} MB a step; "
        f"with the plain scan {moved['scan'] / 1e6:,.0f} MB.",
        verdicts=[
            Verdict(
                "the fused engine adds up each gradient once (bytes of parameters within 1 %)",
                f"{ratios['fused']:.3f} times the bytes of the parameters",
                abs(ratios["fused"] - 1) < CLOSE,
            ),
            Verdict(
                "the plain scan adds up that of the recurrent weights at every time step (more all-reduces than steps)",
                f"{sums} all-reduces for {results['large_work']['steps']} steps",
                sums > results["large_work"]["steps"],
            ),
        ],
        means=[
            without(row, "link", "chips", "compute_ms", "all_reduce_ms") for row in rows if row["kind"] != "predicted"
        ],
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("scaling", draw(results["measured"], results["predicted"], title), caption)],
    )
