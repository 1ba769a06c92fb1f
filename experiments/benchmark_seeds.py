"""What do eight seeds cost beside one?

    python experiments/benchmark_seeds.py             about 2 minutes on 2 CPU cores
    python experiments/benchmark_seeds.py --smoke     seconds; numbers mean nothing

Training steps of a 2x200 LSTM over 10,000 words (batch 20, 35 steps, no dropout, SGD): of one run, of eight in turn,
and of eight as one vmapped program. By turns in one process, a few steps at a time; minima and medians over --rounds.

Expected: on a CPU that one run fills, in turn costs at most eight times one run, and vmapped somewhat more.
Writes benchmark_seeds.json into --out (default experiments/results).
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import jax
from peers.ours import training
from peers.work import Step

import lm_jax
from lm_jax.training.together import in_turn, vmapped


def milliseconds(advance, states, streams, count):
    """Of a step of all runs, and their states after `count` of them."""
    started = time.perf_counter()
    states = jax.block_until_ready(advance(states, [streams] * len(states), count, None))
    return 1e3 * (time.perf_counter() - started) / count, states


def main() -> None:
    """Measures, prints, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, one round")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    lm_jax.reuse_memory()
    work, seeds = (
        (Step(1, 8, 12, False, 0.0, 2, 3), 2) if arguments.smoke else (Step(2, 200, 10_000, False, 0.0, 20, 35), 8)
    )
    train_steps, streams, create = training(work)
    ways = {"one": (in_turn, 1), "in turn": (in_turn, seeds), "vmapped": (vmapped, seeds)}
    advance = {name: make(train_steps) for name, (make, _) in ways.items()}
    states = {name: [create(seed) for seed in range(count)] for name, (_, count) in ways.items()}
    times = {name: [] for name in ways}
    for turn in range((1 if arguments.smoke else arguments.rounds) + 1):
        for name in ways:
            took, states[name] = milliseconds(advance[name], states[name], streams, 2)
            if turn:  # the first is to compile and to warm up
                times[name].append(took)
    least = {name: min(taken) for name, taken in times.items()}
    record = {
        "command": "python experiments/benchmark_seeds.py" + (" --smoke" if arguments.smoke else ""),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "load_at_end": os.getloadavg()[0],
        "work": work._asdict(),
        "seeds": seeds,
        "minimum_ms": least,
        "median_ms": {name: statistics.median(taken) for name, taken in times.items()},
        "times_one": {name: value / least["one"] for name, value in least.items()},
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "benchmark_seeds.json").write_text(json.dumps(record, indent=1) + "\n")
    for name, value in least.items():
        print(f"{name:<8} {value:8.1f} ms a step, {value / least['one']:.2f} times one run")


if __name__ == "__main__":
    main()
