"""The prediction of scaling.py for chips, its answer, table and picture."""

import os
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lm_jax.report.style import SERIES, clean, label_ends


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
    for row in rows:
        if row["vocab_shards"] > 1:
            continue
        reduced = row["moved"]["all-reduce"]
        for name, link in LINKS.items():
            compute = 6 * weights * tokens / (UTILISATION * link.peak)
            compute += 2 * iterations * ITERATION
            for n in CHIPS:
                seconds = 2 * (n - 1) / n * reduced["bytes"] / link.bandwidth
                seconds += 2 * (n - 1) * link.latency * reduced["times"]
                predicted.append(
                    {
                        "engine": row["engine"],
                        "link": name,
                        "chips": n,
                        "compute_ms": 1e3 * compute,
                        "all_reduce_ms": 1e3 * seconds,
                        "efficiency": compute / (compute + seconds),
                    }
                )
    return predicted


def draw(measured: list[dict], predicted: list[dict]):
    """Overhead of simulated devices; predicted efficiency on chips."""
    figure = Figure(figsize=(11, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = {"fused": "-", "scan": "--"}
    for engine, style in styles.items():
        rows = [row for row in measured if row["engine"] == engine]
        values = [row["efficiency"] for row in rows]
        left.plot(COUNTS, values, color=SERIES[6], linestyle=style, marker="o", markersize=4, label=engine)
    left.set_xscale("log", base=2)
    left.set_xticks(COUNTS, COUNTS)
    left.set_xlabel("simulated devices, which share 2 cores" if os.cpu_count() == 2 else "simulated devices")
    left.set_ylabel("time of one device / time of n, same work")
    left.set_title("Measured: the overhead alone", loc="left")
    left.legend(frameon=False, title="recurrence", alignment="left")
    ends = []
    for colour, name in zip(SERIES, LINKS, strict=False):
        for engine, style in styles.items():
            rows = [row for row in predicted if (row["engine"], row["link"]) == (engine, name)]
            values = [row["efficiency"] for row in rows]
            right.plot(CHIPS, values, color=colour, linestyle=style, marker="o", markersize=3)
            ends.append((CHIPS[-1], values[-1], f"{name}, {engine}", colour))
    right.set_xscale("log", base=2)
    right.set_xticks(CHIPS, CHIPS)
    right.set_xlabel("chips, with a fixed batch each")
    right.set_ylabel("efficiency")
    right.set_title("Predicted, not measured", loc="left")
    for axes in (left, right):
        axes.set_ylim(0, max(1.05, axes.get_ylim()[1]))
        clean(axes)
    FigureCanvasAgg(figure).draw()  # the layout moves the axes, and labels are placed in pixels
    label_ends(right, ends)
    return figure


def to_rows(results: dict) -> list[dict]:
    """What was measured, then what was counted, then what is predicted."""
    rows = []
    for kind in ("measured", "counted", "predicted"):
        for row in results[kind]:
            reduced = row.get("moved", {}).get("all-reduce", {"times": None, "bytes": None})
            plain = {name: value for name, value in row.items() if name != "moved"}
            rows.append({"kind": kind, **plain, "all-reduced bytes": reduced["bytes"]})
    return rows


def answer(results: dict) -> str:
    """What was found, in one sentence made of the numbers."""
    most = max(row["devices"] for row in results["measured"])
    overhead = ", ".join(f"{r['engine']} {r['efficiency']:.2f}" for r in results["measured"] if r["devices"] == most)
    reduced = ", ".join(
        f"{row['engine']} {row['moved']['all-reduce']['bytes'] / 1e6:,.1f}"
        for row in results["counted"]
        if row["vocab_shards"] == 1
    )
    chips = max(row["chips"] for row in results["predicted"])
    predicted = ", ".join(
        f"{row['engine']} over {row['link']} {row['efficiency']:.2f}"
        for row in results["predicted"]
        if row["chips"] == chips
    )
    return (
        f"On {most} simulated devices the same work keeps this share of its speed: {overhead}; with a large vocabulary "
        f"a device adds up so many MB with the others in a step: {reduced}; efficiency predicted, not measured, for "
        f"{chips} chips: {predicted}."
    )
