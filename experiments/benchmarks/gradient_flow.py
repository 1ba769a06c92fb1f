"""What does the whole map of gradients cost, beside one backward pass for every prediction?

    python experiments/benchmarks/gradient_flow.py     a minute on 2 CPU cores

For one text of T = 200 steps and H = 200 units: all norms of dJ_i by the carry after step j, i > j, by
`gradient_flow` (what it computes on the device), and by T calls of one compiled `jax.grad`, of J_i by perturbations
on all recurrent edges, for i = 0 .. T-1. Two forms of these passes: "score" takes J_i out of the log-probabilities of
the whole text, as one would write it first; "lean" computes the softmax of step i alone. All in one process by turns,
the best of --rounds counts; compilation is apart. The norms must agree.

Expected: at least 10 times faster than T backward passes, with temporary memory of O(T * H): a few MiB.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import Findings, Study, integer
from experiments.harness.rows import without
from experiments.harness.timing import timed
from lm_jax.analysis.gradient_flow import flow_on_device, gradient_flow
from lm_jax.config import CELLS
from lm_jax.models import recurrent_lm


OPTIONS = {"--rounds": integer(20, "of the scan; the passes have a fifth of them")}
STUDY = Study(__doc__, __file__, "The cost of the whole map of gradients", OPTIONS)


def backward_pass(model, form, params, inputs, targets, i):
    """Norms [T] of dJ_i by the carry after each step, per leaf of the carry, by the derivative of a whole unroll."""
    carry, parts = model.initial_carry(params, (1,)), model.opened

    def loss(perturbations):
        def step(carry, slices):
            x, perturbation = slices
            carry, y = parts.cell.step(params.cell, carry, x)
            return jax.tree.map(jnp.add, carry, perturbation), y

        _, ys = jax.lax.scan(step, carry, (params.embedding[inputs], perturbations))
        if form == "lean":
            return -parts.log_probs(params, ys[i][None], targets[i][None])[0, 0]
        return -parts.log_probs(params, ys, targets)[i, 0]

    zeros = jax.tree.map(lambda leaf: jnp.zeros((len(inputs), *leaf.shape)), carry)
    return [jnp.linalg.norm(leaf[:, 0], axis=-1) for leaf in jax.tree.leaves(jax.grad(loss)(zeros))]


def measure(cell, vocab_size, steps, rounds, passes_rounds):
    """Times, ratios and memory of one model, and the largest difference between the two ways."""
    model = recurrent_lm(vocab_size, cell, init_bound=0.5)
    params = model.init(jax.random.key(0))
    inputs, targets = jnp.asarray(np.random.default_rng(0).integers(vocab_size, size=(2, steps, 1), dtype=np.int32))
    carry = model.initial_carry(params, (1,))
    names = [("h", 0), ("c", 1)][: len(jax.tree.leaves(carry))]
    scan = jax.jit(functools.partial(flow_on_device, model.opened, (tuple(names),), steps - 1))
    compiled = scan.lower(params, carry, inputs, targets).compile()
    passes = {form: jax.jit(functools.partial(backward_pass, model, form)) for form in ("score", "lean")}
    best = {}

    def time_of(name, function):
        best[name] = min(best.get(name, float("inf")), timed(function)[0])

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


def findings(results: dict) -> Findings:
    """The answer and table."""
    found = results["results"]
    times = ", ".join(
        f"{name} {row['ratio_to_score_passes']:.1f} ({row['ratio_to_lean_passes']:.1f} than lean ones)"
        for name, row in found.items()
    )
    memory = max(row["temporary_MiB"] for row in found.values())
    said = (
        f"The map of {results['steps']} steps of {results['units']} units is so many times faster than a backward pass "
        f"for each prediction: {times}; temporary memory is at most {memory:.1f} MiB."
    )
    seconds = {name: {f"seconds, {k}": v for k, v in row["seconds"].items()} for name, row in found.items()}
    rows = [{"cell": name, **seconds[name], **without(row, "seconds")} for name, row in found.items()]
    return Findings(said, results, rows)


def run(arguments) -> Findings:
    """Measures every cell."""
    steps, size, vocab_size = (20, 8, 10) if arguments.smoke else (200, 200, 1000)
    rounds = 2 if arguments.smoke else arguments.rounds
    measured = {
        name: measure(CELLS[name].make()(size, size), vocab_size, steps, rounds, max(1, rounds // 5))
        for name in ("rnn", "gru", "lstm")
    }
    return findings({"steps": steps, "units": size, "results": measured})


if __name__ == "__main__":
    STUDY.main(run)
