"""How much faster is the fused engine than the plain scan?

    python experiments/benchmark_recurrence.py             about 5 minutes on 2 CPU cores
    python experiments/benchmark_recurrence.py --smoke     seconds; numbers mean nothing

Two layers of each cell at a batch of 20 and 35 steps, of 200 and of 650 units, without masks: the forward pass, and
the value with the gradients of all parameters and inputs. Both engines run in one process by turns; minima and medians
over --rounds, and ratios of scan to fused. On a machine that does other work as well the ratio of the minima counts.
Compilation, and the temporary memory that the compiled gradient asks for, are apart. All gradients must agree.

Expected: the gradient is at least 1.2 times faster for every cell.
Writes benchmark_recurrence.json into --out (default experiments/results).
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.cells import gru, lstm, rnn, stacked


CELLS = {
    "rnn": lambda size, engine: rnn(size, size, recurrence=engine),
    "gru": lambda size, engine: gru(size, size, recurrence=engine),
    "gru before": lambda size, engine: gru(size, size, reset="before", recurrence=engine),
    "lstm": lambda size, engine: lstm(size, size, recurrence=engine),
}
ENGINES = ("scan", "fused")
LAYERS, BATCH, STEPS = 2, 20, 35


def seconds(function, *arguments):
    """Of one call, and what it returns."""
    started = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return time.perf_counter() - started, result


def prepare(make, size, steps, engine):
    """(compiled forward pass, compiled value and gradient, their arguments, seconds to compile the latter)."""
    stack = stacked([make(size, engine) for _ in range(LAYERS)])
    params = stack.init(jax.random.key(0))
    carry = stack.initial_carry(params, (BATCH,))
    xs, weights = jnp.asarray(np.random.default_rng(0).normal(size=(2, steps, BATCH, size)), jnp.float32)

    def loss(params, xs):
        return jnp.sum(weights * stack.unroll(params, carry, xs)[1])

    forward = jax.jit(loss).lower(params, xs).compile()
    took, gradient = seconds(lambda: jax.jit(jax.value_and_grad(loss, (0, 1))).lower(params, xs).compile())
    return forward, gradient, (params, xs), took


def measure(make, size, steps, rounds):
    """Times of one cell in milliseconds, ratios, and the largest difference of gradients, relative to the largest."""
    prepared = {engine: prepare(make, size, steps, engine) for engine in ENGINES}
    scan, fused = (jax.tree.leaves(gradient(*given)[1]) for _, gradient, given, _ in prepared.values())
    difference = max(float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(a))) for a, b in zip(scan, fused, strict=True))
    times = {(part, engine): [] for part in ("forward", "gradient") for engine in ENGINES}
    for turn in range(rounds + 1):
        for engine, (forward, gradient, given, _) in prepared.items():
            for part, function in (("forward", forward), ("gradient", gradient)):
                took, _ = seconds(function, *given)
                if turn:  # the first call is to warm up
                    times[part, engine].append(1e3 * took)
    row = {"largest_relative_difference": difference}
    for part in ("forward", "gradient"):
        lowest = {engine: min(times[part, engine]) for engine in ENGINES}
        middle = {engine: statistics.median(times[part, engine]) for engine in ENGINES}
        row[part] = {"minimum_ms": lowest, "median_ms": middle}
        row[part] |= {"ratio_of_minima": lowest["scan"] / lowest["fused"]}
        row[part] |= {"ratio_of_medians": middle["scan"] / middle["fused"]}
    row["compile_seconds"] = {engine: took for engine, (*_, took) in prepared.items()}
    temporary = {engine: gradient.memory_analysis() for engine, (_, gradient, *_) in prepared.items()}
    row["temporary_MiB"] = {engine: stats.temp_size_in_bytes / 2**20 for engine, stats in temporary.items()}
    return row


def main() -> None:
    """Measures, writes the JSON, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="at 200 units; a quarter of them at 650")
    parser.add_argument("--smoke", action="store_true", help="3 steps of 8 units")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    sizes = {8: 2} if arguments.smoke else {200: arguments.rounds, 650: max(1, arguments.rounds // 4)}
    steps = 3 if arguments.smoke else STEPS
    results = {}
    for size, rounds in sizes.items():
        for name, make in CELLS.items():
            results[f"{name} {LAYERS}x{size}"] = row = measure(make, size, steps, rounds)
            lowest = row["gradient"]["minimum_ms"]
            print(
                f"{name:<10} {LAYERS}x{size}: gradient {lowest['scan']:7.1f} ms by scan, {lowest['fused']:7.1f} fused, "
                f"{row['gradient']['ratio_of_minima']:.2f} times faster "
                f"(medians {row['gradient']['ratio_of_medians']:.2f}); "
                f"forward pass {row['forward']['ratio_of_minima']:.2f}; "
                f"differing by {row['largest_relative_difference']:.0e}",
                flush=True,
            )
    record = {
        "command": "python experiments/benchmark_recurrence.py" + (" --smoke" if arguments.smoke else ""),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_at_end": os.getloadavg()[0],
        "batch": BATCH,
        "steps": steps,
        "rounds": {str(size): rounds for size, rounds in sizes.items()},
        "results": results,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "benchmark_recurrence.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
