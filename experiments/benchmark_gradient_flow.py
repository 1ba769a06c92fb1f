"""What does the whole map of gradients cost, beside one backward pass for every prediction?

    python experiments/benchmark_gradient_flow.py             a minute on 2 CPU cores
    python experiments/benchmark_gradient_flow.py --smoke     seconds; numbers mean nothing

For one text of T = 200 steps and H = 200 units: all norms of dJ_i by the carry after step j, i > j, by
`gradient_flow` (what it computes on the device), and by T calls of one compiled `jax.grad`, of J_i by perturbations
on all recurrent edges, for i = 0 .. T-1. Two forms of these passes: "score" takes J_i out of the log-probabilities of
the whole text, as one would write it first; "lean" computes the softmax of step i alone. All in one process by turns,
the best of --rounds counts; compilation is apart. The norms must agree.

Expected: at least 10 times faster than T backward passes, with temporary memory of O(T * H): a few MiB.
Writes benchmark_gradient_flow.json into --out (default experiments/results).
"""

import argparse
import functools
import json
import os
import platform
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import lm_jax
from lm_jax.analysis.gradient_flow import flow_on_device, gradient_flow


def backward_pass(model, form, params, inputs, targets, i):
    """Norms [T] of dJ_i by the carry after each step, per leaf of the carry, by the derivative of a whole unroll."""
    carry = model.initial_carry(params, (1,))

    def loss(perturbations):
        def step(carry, slices):
            x, perturbation = slices
            carry, y = model.opened.cell.step(params.cell, carry, x)
            return jax.tree.map(jnp.add, carry, perturbation), y

        _, ys = jax.lax.scan(step, carry, (params.embedding[inputs], perturbations))
        if form == "lean":
            return -model.opened.log_probs(params, ys[i][None], targets[i][None])[0, 0]
        return -model.opened.log_probs(params, ys, targets)[i, 0]

    zeros = jax.tree.map(lambda leaf: jnp.zeros((len(inputs), *leaf.shape)), carry)
    return [jnp.linalg.norm(leaf[:, 0], axis=-1) for leaf in jax.tree.leaves(jax.grad(loss)(zeros))]


def seconds(function):
    """Of one call."""
    started = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - started


def measure(cell, vocab_size, steps, rounds, passes_rounds):
    """Times, ratios and memory of one model, and the largest difference between the two ways."""
    model = lm_jax.recurrent_lm(vocab_size, cell, init_bound=0.5)
    params = model.init(jax.random.key(0))
    inputs, targets = np.random.default_rng(0).integers(vocab_size, size=(2, steps, 1), dtype=np.int32)
    inputs, targets = jnp.asarray(inputs), jnp.asarray(targets)
    carry = model.initial_carry(params, (1,))
    names = [("h", 0), ("c", 1)][: len(jax.tree.leaves(carry))]
    scan = jax.jit(functools.partial(flow_on_device, model.opened, (tuple(names),), steps - 1))
    compiled = scan.lower(params, carry, inputs, targets).compile()
    passes = {form: jax.jit(functools.partial(backward_pass, model, form)) for form in ("score", "lean")}
    best = {}

    def time_of(name, function):
        best[name] = min(best.get(name, float("inf")), seconds(function))

    for call in passes.values():
        call(params, inputs, targets, 0)
    for turn in range(rounds):
        time_of("scan", lambda: compiled(params, carry, inputs, targets))
        for form, call in passes.items():
            if turn < passes_rounds:
                time_of(form, lambda call=call: [call(params, inputs, targets, i) for i in range(steps)])
    flow = gradient_flow(model, params, inputs, targets=targets).carry[0]
    some = range(steps // 8, steps, steps // 8)
    difference = 0.0
    for i in some:
        for (name, _), norms in zip(names, passes["lean"](params, inputs, targets, i), strict=True):
            near = np.arange(max(0, i - 50), i)  # farther back squares of the plain norms underflow
            with np.errstate(divide="ignore"):
                difference = max(difference, np.max(np.abs(flow[name][0, i, near] - np.log(norms[near]))))
    return {
        "seconds": best,
        "ratio_to_score_passes": best["score"] / best["scan"],
        "ratio_to_lean_passes": best["lean"] / best["scan"],
        "temporary_MiB": compiled.memory_analysis().temp_size_in_bytes / 2**20,
        "largest_relative_difference": float(np.expm1(difference)),
    }


def main() -> None:
    """Measures, writes the JSON, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="of the scan; the passes have a fifth of them")
    parser.add_argument("--smoke", action="store_true", help="20 steps of 8 units")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    steps, size = (20, 8) if arguments.smoke else (200, 200)
    rounds = 2 if arguments.smoke else arguments.rounds
    results = {}
    for name in ("rnn", "gru", "lstm"):
        cell = lm_jax.CELLS[name](size, size)
        results[name] = measure(cell, 10 if arguments.smoke else 1000, steps, rounds, max(1, rounds // 5))
        row = results[name]
        print(
            f"{name:<5} {1e3 * row['seconds']['scan']:8.1f} ms, {row['ratio_to_score_passes']:5.1f} times faster than "
            f"{steps} passes, {row['ratio_to_lean_passes']:5.1f} than lean ones, {row['temporary_MiB']:.1f} MiB, "
            f"differing by {row['largest_relative_difference']:.1e}",
            flush=True,
        )
    record = {
        "command": "python experiments/benchmark_gradient_flow.py" + (" --smoke" if arguments.smoke else ""),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "steps": steps,
        "units": size,
        "results": results,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "benchmark_gradient_flow.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
