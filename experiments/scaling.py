"""What do many devices cost in communication, and how far would data parallel training scale?

    python experiments/scaling.py             about 5 minutes on 2 CPU cores
    python experiments/scaling.py --smoke     a minute; times mean nothing

Measured, at 1, 2, 4 and 8 simulated devices, for both engines of the recurrence: the time of a training step of an
LSTM with the same batch in all (minima over --rounds, by turns), and the bytes that a device adds up with the others
in a step, read from the compiled program: operands of all-reduce, those in a loop as often as the loop runs. The
simulated devices share the cores of this machine, so the work is always the same and efficiency, the time of one
device by that of n, measures the overhead alone.

Counted, for a large vocabulary: the same bytes, and those of parameters on one device, with the vocabulary cut.

Predicted, not measured: efficiency on 8 to 256 chips with a fixed batch a chip, t / (t + a), of
    t   compute: 6 FLOPs a weight of a product and token, at UTILISATION of the chip's peak, and ITERATION for every
        iteration of the loops over time
    a   ring all-reduce: 2 (n - 1) / n bytes / bandwidth + 2 (n - 1) latencies for each; nothing overlaps with compute

Expected: the fused engine adds up each gradient once; the plain scan that of the recurrent weights at every time step.
Writes scaling.json and scaling.png into --out (default experiments/results).
"""

import argparse
import json
import os
import platform
import re
import time
from pathlib import Path
from typing import NamedTuple


os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")  # JAX reads it when it is imported

import jax
import numpy as np
from matplotlib.figure import Figure

from lm_jax.config import ModelConfig, OptimizerConfig
from lm_jax.data.batching import Streams
from lm_jax.models.build import from_config
from lm_jax.report.style import SERIES, clean, label_ends
from lm_jax.training.devices import find_devices
from lm_jax.training.losses import cross_entropy
from lm_jax.training.optimizers import build_optimizer, build_schedule
from lm_jax.training.state import TrainState, build_train_steps, create_state


COUNTS = (1, 2, 4, 8)
CHIPS = (8, 16, 32, 64, 128, 256)
ENGINES = ("fused", "scan")
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


class Work(NamedTuple):
    """A model and its batch: cell LSTM, `batch` streams in all, chunks of `steps`."""

    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    batch: int
    steps: int

    def matmul_weights(self) -> int:
        """Weights that every token is multiplied by."""
        below = self.embedding + (self.layers - 1) * self.hidden
        return 4 * self.hidden * (below + self.layers * self.hidden) + self.hidden * self.vocabulary


MEASURED = Work(vocabulary=96, embedding=64, hidden=256, layers=1, batch=64, steps=64)
LARGE = Work(vocabulary=33_280, embedding=650, hidden=650, layers=2, batch=512, steps=35)  # 64 streams a device
TINY = Work(vocabulary=16, embedding=8, hidden=8, layers=1, batch=8, steps=4)


class Prepared(NamedTuple):
    """Compiled steps, their state (None if it was not to be made) and streams; bytes of the parameters on a device."""

    program: jax.stages.Compiled
    state: TrainState | None
    streams: Streams
    parameter_bytes: int


def prepare(work: Work, engine: str, count: int, shards: int = 1, run: bool = True) -> Prepared:
    """Training steps on so many devices, with Adam and clipping."""
    settings = ModelConfig(
        embedding_size=work.embedding, hidden_size=work.hidden, layers=work.layers, recurrence=engine
    )
    model = from_config(settings, work.vocabulary)
    options = OptimizerConfig()
    optimizer = build_optimizer(options, build_schedule(options, 1000))
    devices = find_devices(count, shards)
    steps = build_train_steps(
        model,
        cross_entropy(model),
        optimizer,
        bptt=work.steps,
        steps_per_epoch=10**6,  # the same rows again and again: times do not depend on tokens
        clip=options.clip,
        hold=devices.hold,
        hold_rows=devices.hold_rows,
    )
    tokens = np.random.default_rng(0).integers(0, work.vocabulary, (work.steps + 1, work.batch)).astype(np.int32)

    def create():
        return create_state(model, optimizer, work.batch, seed=0)

    abstract = jax.eval_shape(create)
    if devices.mesh is not None:
        shardings = devices.shardings(abstract)
        abstract = jax.tree.map(lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), abstract, shardings)
    streams = devices.place_streams(Streams(tokens, np.full(work.batch, work.steps, np.int32)))
    program = devices.over(lambda *arguments: steps.lower(*arguments).compile())(abstract, streams, 1)
    on_one = sum(_held(leaf) for leaf in jax.tree.leaves(abstract.params))
    return Prepared(program, devices.place(create()) if run else None, streams, on_one)


def _held(leaf):
    """Bytes of an array on one device."""
    shape = leaf.shape if leaf.sharding is None else leaf.sharding.shard_shape(leaf.shape)
    return int(np.prod(shape)) * leaf.dtype.itemsize


# --- bytes, from the text of a compiled program ------------------------------------------------------------------

ITEM_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "f64": 8}
MOVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


def moved(text: str) -> dict[str, dict[str, int]]:
    """By operation, how often a device takes part in it in one step, and the bytes of its results."""
    bodies, name = {}, None
    for line in text.splitlines():
        opening = re.match(r"(ENTRY )?%?([\w.-]+) .*\{$", line)
        if opening:
            name = "ENTRY" if opening[1] else opening[2]
            bodies[name] = []
        elif name is not None:
            bodies[name].append(line)
    totals = {move: {"times": 0, "bytes": 0} for move in MOVES}
    _walk(bodies, "ENTRY", 1, totals)
    return {move: total for move, total in totals.items() if total["times"]}


def _walk(bodies, name, times, totals):
    for line in bodies[name]:
        found = re.match(r"\s*(?:ROOT )?%?[\w.-]+ = (.*?) ([\w-]+)\(", line)
        if not found:
            continue
        kind = found[2].removesuffix("-start")
        if kind in MOVES:
            totals[kind]["times"] += times
            totals[kind]["bytes"] += times * _bytes(found[1])
        if kind == "while":
            trips = re.search(r'"known_trip_count":\{"n":"(\d+)"', line)  # of unknown number: the loop over steps, once
            _walk(bodies, re.search(r"body=%?([\w.-]+)", line)[1], times * int(trips[1] if trips else 1), totals)
        elif kind in ("call", "conditional"):
            for called in re.findall(r"(?:to_apply|\w+_computation)=%?([\w.-]+)", line):
                _walk(bodies, called, times, totals)


def _bytes(shapes):
    arrays = re.findall(r"(\w+)\[([\d,]*)\]", shapes)
    return sum(ITEM_BYTES[kind] * int(np.prod([int(n) for n in sizes.split(",") if n])) for kind, sizes in arrays)


# --- the three parts ---------------------------------------------------------------------------------------------


def measure(work: Work, rounds: int) -> list[dict]:
    """A row for each engine and number of devices."""
    prepared = {(engine, n): prepare(work, engine, n) for engine in ENGINES for n in COUNTS}
    states = {case: one.state for case, one in prepared.items()}
    times = {case: [] for case in prepared}
    for turn in range(rounds + 1):
        for case, one in prepared.items():
            started = time.perf_counter()
            states[case] = one.program(states[case], one.streams, 1)
            jax.block_until_ready(states[case].step)
            if turn:  # the first call is to warm up
                times[case].append(time.perf_counter() - started)
    fastest = {case: min(seconds) for case, seconds in times.items()}
    return [
        {
            "engine": engine,
            "devices": n,
            "step_ms": 1e3 * fastest[engine, n],
            "median_step_ms": 1e3 * float(np.median(times[engine, n])),
            "efficiency": fastest[engine, 1] / fastest[engine, n],
            "parameter_bytes": one.parameter_bytes,
            "moved": moved(one.program.as_text()),
        }
        for (engine, n), one in prepared.items()
    ]


def count_large(work: Work) -> list[dict]:
    """A row for each engine and way to cut: bytes of a step on eight devices, and of the parameters on each."""
    rows = []
    for engine, shards in (("fused", 1), ("scan", 1), ("fused", 2), ("fused", 4), ("fused", 8)):
        # every chip has as many rows of the batch with any cut, so that the bytes compare
        one = prepare(work._replace(batch=work.batch // shards), engine, COUNTS[-1], shards, run=False)
        found = moved(one.program.as_text())
        rows.append({"engine": engine, "vocab_shards": shards, "parameter_bytes": one.parameter_bytes, "moved": found})
    return rows


def predict(work: Work, rows: list[dict]) -> list[dict]:
    """Efficiency with the vocabulary whole, for each engine, link and number of chips."""
    tokens = work.batch // COUNTS[-1] * work.steps
    predicted = []
    for row in rows:
        if row["vocab_shards"] > 1:
            continue
        reduced = row["moved"]["all-reduce"]
        for name, link in LINKS.items():
            compute = 6 * work.matmul_weights() * tokens / (UTILISATION * link.peak)
            compute += 2 * work.layers * work.steps * ITERATION
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


def draw(measured: list[dict], predicted: list[dict], path: Path) -> None:
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
    figure.canvas.draw()
    label_ends(right, ends)
    figure.savefig(path, dpi=120, bbox_inches="tight")


def main() -> None:
    """Measures, counts, predicts; writes the JSON and the figure, prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--smoke", action="store_true", help="tiny models")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    work, large = (TINY, TINY._replace(batch=64)) if arguments.smoke else (MEASURED, LARGE)
    measured = measure(work, 2 if arguments.smoke else arguments.rounds)
    counted = count_large(large)
    predicted = predict(large, counted)
    record = {
        "command": "python experiments/scaling.py" + (" --smoke" if arguments.smoke else ""),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "device": f"{jax.devices()[0].device_kind}, simulated {len(jax.devices())} times on {os.cpu_count()} cores",
        "load_at_end": os.getloadavg()[0],
        "work": work._asdict(),
        "measured": measured,
        "large_work": large._asdict(),
        "counted": counted,
        "assumptions": {
            "utilisation": UTILISATION,
            "seconds_per_iteration": ITERATION,
            "overlap": 0,
            "links": {name: link._asdict() for name, link in LINKS.items()},
        },
        "predicted": predicted,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "scaling.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(measured, predicted, arguments.out / "scaling.png")
    print(f"{'engine':<6} {'devices':>7} {'step':>9} {'all-reduced':>14} {'efficiency (overhead alone)':>28}")
    for row in measured:
        reduced = row["moved"].get("all-reduce", {"times": 0, "bytes": 0})
        print(
            f"{row['engine']:<6} {row['devices']:>7} {row['step_ms']:>6.1f} ms {reduced['bytes']:>12,} B "
            f"{row['efficiency']:>28.2f}"
        )
    print(f"\n{large}, 8 devices:\n{'engine':<6} {'vocab_shards':>12} {'all-reduced':>14} {'parameters on each':>20}")
    for row in counted:
        reduced = row["moved"]["all-reduce"]["bytes"]
        print(f"{row['engine']:<6} {row['vocab_shards']:>12} {reduced:>12,} B {row['parameter_bytes']:>18,} B")
    print(f"\npredicted efficiency on chips\n{'':<32}" + "".join(f"{n:>6}" for n in CHIPS))
    for engine in ENGINES:
        for name in LINKS:
            values = [row["efficiency"] for row in predicted if (row["engine"], row["link"]) == (engine, name)]
            print(f"{f'{name}, {engine}':<32}" + "".join(f"{value:>6.2f}" for value in values))


if __name__ == "__main__":
    main()
