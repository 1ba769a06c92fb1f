"""What does telemetry cost beside the training that it watches?

    python experiments/benchmark_telemetry.py             about 5 minutes on 2 CPU cores
    python experiments/benchmark_telemetry.py --smoke     seconds; numbers mean nothing

The telemetry of `lm-jax train --telemetry-every 200` is one call every 200 steps. Both are timed in one process by
turns: a dispatch of 200 training steps, then one measurement of the parameters that it leaves; the median over
--rounds counts. Compilation is apart: it is paid once a run. The default character model (LSTM 1x256), a GRU and a
simple RNN of 64 units, whose steps are short, and a stack of two layers.

Expected: less than 5 % of the training time for every model.
Writes benchmark_telemetry.json into --out (default experiments/results).
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

import lm_jax
from lm_jax.data.batching import Streams
from lm_jax.runs.setup import set_up


EVERY = 200
MODELS = {
    "lstm 1x256": lm_jax.ModelConfig(),
    "gru 1x64": lm_jax.ModelConfig(cell="gru", hidden_size=64),
    "rnn 1x64": lm_jax.ModelConfig(cell="rnn", hidden_size=64),
    "lstm 2x128": lm_jax.ModelConfig(hidden_size=128, layers=2),
}


def seconds(function):
    """Of one call, and what it returns."""
    started = time.perf_counter()
    result = jax.block_until_ready(function())
    return time.perf_counter() - started, result


def measure(model, corpus, every, rounds):
    """Times of one model in seconds."""
    config = lm_jax.TrainConfig(model=model, telemetry_every=every, steps=every * (rounds + 1))
    setup = set_up(config, corpus, config.steps)
    state, streams = setup.create(), jax.tree.map(jnp.asarray, Streams(*setup.batches.epoch(0)))
    compile_training, state = seconds(lambda: setup.train_steps(state, streams, 1))
    first_telemetry, _ = seconds(lambda: setup.measure(state.params, 1.0))
    training, telemetry = [], []
    for _ in range(rounds):
        # stay in the epoch whose streams these are
        state = state.replace(step=jnp.zeros((), int), position=jnp.zeros((), int))
        took, state = seconds(lambda state=state: setup.train_steps(state, streams, every))
        training.append(took)
        took, _ = seconds(lambda state=state: setup.measure(state.params, 1.0))
        telemetry.append(took)
    return {
        "training_seconds": statistics.median(training),
        "telemetry_seconds": statistics.median(telemetry),
        "share": statistics.median(telemetry) / statistics.median(training),
        "largest_share": max(b / a for a, b in zip(training, telemetry, strict=True)),
        "first_step_seconds": compile_training,
        "first_telemetry_seconds": first_telemetry,
    }


def main() -> None:
    """Measures, writes the JSON, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="3 steps of one small model")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    every, rounds = (3, 2) if arguments.smoke else (EVERY, arguments.rounds)
    corpus = lm_jax.load_corpus()
    results = {}
    for name, model in MODELS.items():
        if arguments.smoke and name != "rnn 1x64":
            continue
        results[name] = row = measure(model, corpus, every, rounds)
        print(
            f"{name:<11} {every} steps {row['training_seconds']:7.2f} s, telemetry {row['telemetry_seconds']:6.3f} s = "
            f"{row['share']:.2%} (at most {row['largest_share']:.2%}); first {row['first_telemetry_seconds']:.1f} s",
            flush=True,
        )
    record = {
        "command": "python experiments/benchmark_telemetry.py" + (" --smoke" if arguments.smoke else ""),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "steps_between": every,
        "rounds": rounds,
        "results": results,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "benchmark_telemetry.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
