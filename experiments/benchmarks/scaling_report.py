"""The prediction of scaling.py for chips, its answer, table and picture."""

import itertools
import os
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg

from experiments.harness.figures import draw_lines, finish, log_ticks, panels
from experiments.harness.rows import where, without
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


def draw(measured: list[dict], predicted: list[dict]):
    """Overhead of simulated devices; predicted efficiency on chips."""
    figure, (left, right) = panels((11, 4.0), 1, 2)
    styles, ends = {"fused": "o-", "scan": "o--"}, []
    for engine, style in styles.items():
        values = [row["efficiency"] for row in where(measured, engine=engine)]
        left.plot(COUNTS, values, style, color=SERIES[6], markersize=4, label=engine)
    for (colour, name), (engine, style) in itertools.product(zip(SERIES, LINKS, strict=False), styles.items()):
        values = [row["efficiency"] for row in where(predicted, engine=engine, link=name)]
        ends += draw_lines(right, {f"{name}, {engine}": (CHIPS, values, colour)}, style)
    devices = "simulated devices, which share 2 cores" if os.cpu_count() == 2 else "simulated devices"
    left.legend(frameon=False, title="recurrence", alignment="left")
    for axes, ticks, title, xlabel, ylabel in (
        (left, COUNTS, "Measured: the overhead alone", devices, "time of one device / time of n, same work"),
        (right, CHIPS, "Predicted, not measured", "chips, with a fixed batch each", "efficiency"),
    ):
        log_ticks(axes, ticks, base=2)
        finish(axes, title=title, xlabel=xlabel, ylabel=ylabel, ylim=(0, max(1.05, axes.get_ylim()[1])))
    FigureCanvasAgg(figure).draw()  # the layout moves the axes, and labels are placed in pixels
    label_ends(right, ends)
    return figure


def to_rows(results: dict) -> list[dict]:
    """What was measured, then what was counted, then what is predicted."""
    rows = []
    for kind in ("measured", "counted", "predicted"):
        for row in results[kind]:
            reduced = row.get("moved", {}).get("all-reduce", {"times": None, "bytes": None})
            rows.append({"kind": kind, **without(row, "moved"), "all-reduced bytes": reduced["bytes"]})
    return rows


def answer(results: dict) -> str:
    """What was found, in one sentence made of the numbers."""
    most, chips = COUNTS[-1], CHIPS[-1]
    at_most = where(results["measured"], devices=most)
    overhead = ", ".join(f"{row['engine']} {row['efficiency']:.2f}" for row in at_most)
    whole = where(results["counted"], vocab_shards=1)
    reduced = ", ".join(f"{row['engine']} {row['moved']['all-reduce']['bytes'] / 1e6:,.1f}" for row in whole)
    farthest = where(results["predicted"], chips=chips)
    predicted = ", ".join(f"{row['engine']} over {row['link']} {row['efficiency']:.2f}" for row in farthest)
    return (
        f"On {most} simulated devices the same work keeps this share of its speed: {overhead}; with a large vocabulary "
        f"a device adds up so many MB with the others in a step: {reduced}; efficiency predicted, not measured, for "
        f"{chips} chips: {predicted}."
    )
