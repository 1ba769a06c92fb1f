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

from experiments.harness import Findings, Study, Verdict, integer
from experiments.harness.figures import bars
from experiments.harness.rows import without
from experiments.harness.timing import timed
from lm_jax.analysis.gradient_flow import flow_on_device, gradient_flow
from lm_jax.config import CELLS
from lm_jax.models import recurrent_lm
from lm_jax.report.study import Picture


OPTIONS = {"--rounds": integer(20, "of the scan; the passes have a fifth of them")}
STUDY = Study(__doc__, __file__, OPTIONS)


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


COLUMNS = {
    "cell": "kind of recurrent cell",
    "seconds, scan": "the whole map by gradient_flow (s)",
    "seconds, score": "a backward pass for each prediction, written plainly (s)",
    "seconds, lean": "the same, with the softmax of its own step alone (s)",
    "ratio_to_score_passes": "how many times faster the map is than the plain passes",
    "ratio_to_lean_passes": "how many times faster the map is than the lean passes",
    "temporary_MiB": "memory of the compiled map beside inputs and outputs (MiB)",
    "largest_relative_difference": "between the norms of both ways",
}
FASTER, LARGEST = 10, 10  # times; MiB


def findings(results: dict) -> Findings:
    """What the times say."""
    found = results["results"]
    plain, lean = (min(row[f"ratio_to_{form}_passes"] for row in found.values()) for form in ("score", "lean"))
    memory = max(row["temporary_MiB"] for row in found.values())
    seconds = {name: {f"seconds, {k}": v for k, v in row["seconds"].items()} for name, row in found.items()}
    rows = [{"cell": name, **seconds[name], **without(row, "seconds")} for name, row in found.items()]
    title = f"The map of all gradients is at least {lean:.0f} times faster than one backward pass for each prediction"
    ratios = {
        f"{name}, beside {words} passes": row[f"ratio_to_{form}_passes"]
        for name, row in found.items()
        for form, words in (("lean", "lean"), ("score", "plain"))
    }
    picture = bars(ratios, title, "times faster", "{:.1f}")
    caption = f"Texts of {results['steps']} steps, {results['units']} units; the best of all rounds."
    return Findings(
        title=title,
        answer=f"The whole map is at least {lean:.1f} times faster than lean backward passes and {plain:.0f} times "
        f"than plain ones, in {memory:.1f} MiB.",
        verdicts=[
            Verdict("at least 10 times faster than plain passes", f"{plain:.1f} times at least", plain >= FASTER),
            Verdict("at least 10 times faster than lean passes too", f"{lean:.1f} times at least", lean >= FASTER),
            Verdict("a few MiB (below 10)", f"{memory:.1f} MiB at most", memory < LARGEST),
        ],
        means=rows,
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("gradient_flow", picture, caption)],
    )


def run(arguments) -> dict:
    """Measures every cell."""
    steps, size, vocab_size = (20, 8, 10) if arguments.smoke else (200, 200, 1000)
    rounds = 2 if arguments.smoke else arguments.rounds
    measured = {
        name: measure(CELLS[name].make()(size, size), vocab_size, steps, rounds, max(1, rounds // 5))
        for name in ("rnn", "gru", "lstm")
    }
    return {"steps": steps, "units": size, "results": measured}


if __name__ == "__main__":
    STUDY.main(run, findings)
