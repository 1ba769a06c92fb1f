"""How much faster is a training step with an adaptive softmax, at a vocabulary of 33,278 words?

    python experiments/benchmark_adaptive_softmax.py             about 2 minutes on 2 CPU cores
    python experiments/benchmark_adaptive_softmax.py --smoke     seconds; numbers mean nothing

Whole steps (loss, gradient, clipping, SGD) of LSTM language models at a batch of 20 and 35 steps: 1x200 untied, and
2x650 tied, with the full softmax and with cutoffs at 2,000 and 10,000. Words are drawn by Zipf's law, 1 / (rank + 2.7).
Of a tail cluster the rows that need it are worked off some at a time: 64 is what the library does, the others (700: all
rows of the batch in every tail) show why. All in one process by turns; minima and medians over --rounds.

Expected: at least 5 times faster at 1x200, twice at 2x650.
Writes benchmark_adaptive_softmax.json into --out (default experiments/results).
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
import optax

from lm_jax import lstm, recurrent_lm, stacked
from lm_jax.data.batching import Streams
from lm_jax.models.recurrent import tail_log_probs
from lm_jax.training.losses import cross_entropy
from lm_jax.training.state import build_train_steps, create_state


BATCH, BPTT, STEPS = 20, 35, 4  # steps of a dispatch
ROWS = tail_log_probs.ROWS


def zipf(vocab_size: int, shape: tuple[int, ...]) -> np.ndarray:
    """Ids by Zipf's law."""
    weights = 1 / (np.arange(vocab_size) + 2.7)
    return np.random.default_rng(0).choice(vocab_size, size=shape, p=weights / weights.sum()).astype(np.int32)


def prepare(vocab_size, cell, options, rows):
    """A function that does STEPS steps and returns milliseconds a step; seconds to compile and parameters."""
    model = recurrent_lm(vocab_size, cell, dropout_rate=0.2, **options)
    optimizer = optax.chain(optax.clip_by_global_norm(0.25), optax.sgd(1.0))
    train_steps = build_train_steps(model, cross_entropy(model), optimizer, bptt=BPTT, steps_per_epoch=STEPS)
    state = create_state(model, optimizer, BATCH, seed=0)
    length = STEPS * BPTT
    streams = Streams(jnp.asarray(zipf(vocab_size, (length + 1, BATCH))), jnp.full((BATCH,), length))
    parameters = sum(p.size for p in jax.tree.leaves(state.params))
    tail_log_probs.ROWS = rows  # read when the step is traced
    started = time.perf_counter()
    compiled = train_steps.lower(state, streams, STEPS).compile()
    took = time.perf_counter() - started
    tail_log_probs.ROWS = ROWS

    def run():
        nonlocal state
        started = time.perf_counter()
        state = jax.block_until_ready(compiled(state, streams, STEPS))
        return 1e3 * (time.perf_counter() - started) / STEPS

    return run, took, parameters


def measure(vocab_size, cell, variants, rounds):
    """Minima and medians of every variant of one model."""
    prepared = {name: prepare(vocab_size, cell, *variant) for name, variant in variants.items()}
    times = {name: [] for name in prepared}
    for turn in range(rounds + 1):
        for name, (run, *_) in prepared.items():
            took = run()
            if turn:  # the first call is to warm up
                times[name].append(took)
    return {
        name: {
            "minimum_ms": min(times[name]),
            "median_ms": statistics.median(times[name]),
            "full_softmax_over_this": min(times["full"]) / min(times[name]),
            "compile_seconds": took,
            "parameters": parameters,
        }
        for name, (_, took, parameters) in prepared.items()
    }


def main() -> None:
    """Measures, writes the JSON, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12, help="at 200 units; half of them at 650")
    parser.add_argument("--smoke", action="store_true", help="8 units, 60 words")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    vocab_size, cutoffs = (60, (10, 30)) if arguments.smoke else (33278, (2000, 10000))
    small, large = (8, 8) if arguments.smoke else (200, 650)
    rounds = 1 if arguments.smoke else arguments.rounds

    def cells(layers, size):
        made = [lstm(size, size, recurrence="fused") for _ in range(layers)]
        return made[0] if layers == 1 else stacked(made, dropout_rate=0.2)

    by_rows = {f"adaptive, {n} rows": ({"cutoffs": cutoffs}, n) for n in (ROWS, 32, 128, BATCH * BPTT)}
    tied = {"tied": True, "cutoffs": cutoffs}
    results = {
        f"LSTM 1x{small}": measure(
            vocab_size,
            cells(1, small),
            {"full": ({}, ROWS), **by_rows, "adaptive, tied": (tied, ROWS)},
            rounds,
        ),
        f"LSTM 2x{large} tied": measure(
            vocab_size, cells(2, large), {"full": ({"tied": True}, ROWS), "adaptive": (tied, ROWS)}, (rounds + 1) // 2
        ),
    }
    for name, rows in results.items():
        for variant, row in rows.items():
            print(
                f"{name:<16} {variant:<20} {row['minimum_ms']:8.1f} ms (median {row['median_ms']:8.1f}), "
                f"{row['full_softmax_over_this']:5.2f} times faster, {row['parameters']:,} parameters",
                flush=True,
            )
    record = {
        "command": "python experiments/benchmark_adaptive_softmax.py" + (" --smoke" if arguments.smoke else ""),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_at_end": os.getloadavg()[0],
        "vocabulary": vocab_size,
        "cutoffs": cutoffs,
        "tokens_in_the_head": float(np.mean(zipf(vocab_size, (10**5,)) < cutoffs[0])),
        "batch": BATCH,
        "bptt": BPTT,
        "rounds": rounds,
        "results": results,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "benchmark_adaptive_softmax.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
