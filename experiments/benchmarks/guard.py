"""What does the look at every step for numbers that are none cost?

    python experiments/benchmarks/guard.py     about 2 minutes on 2 CPU cores

The same training steps with and without the guard of `lm-jax train` (lm_jax/training/recovery.py), by turns in one
process, --steps to a dispatch, --rounds times each. The least time of each counts, since other work on the machine only
adds to it; the median of the ratios of the rounds is beside it. A character model (LSTM 1x256), and a word model (LSTM
1x200 with 10,000 types).

Expected: less than 1 % of the time of a step.
"""

import functools
import statistics

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness import Findings, Study, Verdict, integer
from experiments.harness.timing import by_turns, timed
from lm_jax.cells import lstm
from lm_jax.data import Batches
from lm_jax.models import recurrent_lm
from lm_jax.training import build_train_steps, create_state, cross_entropy, text_source
from lm_jax.training.recovery import POLICIES, Guard


STUDY = Study(__doc__, __file__, {"--rounds": integer(30), "--steps": integer(8)})
RATE, CLIP, MOST = 1e-3, 1.0, 0.01
MODELS = {
    "lstm 1x256, 96 characters": {"vocabulary": 96, "embedding": 128, "hidden": 256, "rows": 32, "length": 64},
    "lstm 1x200, 10,000 words": {"vocabulary": 10_000, "embedding": 200, "hidden": 200, "rows": 20, "length": 35},
}
SMOKE = {"lstm 1x8": {"vocabulary": 9, "embedding": 8, "hidden": 8, "rows": 2, "length": 4}}


def dispatch(sizes: dict, steps: int, guard: Guard | None):
    """What does so many steps from where it stopped, in one epoch, and returns the seconds."""
    model = recurrent_lm(sizes["vocabulary"], lstm(sizes["embedding"], sizes["hidden"]))
    draw = np.random.default_rng(0)
    tokens = draw.integers(0, sizes["vocabulary"], 4 * steps * sizes["rows"] * sizes["length"] + 1).astype(np.int32)
    text = Batches(tokens, 0, sizes["rows"], sizes["length"], "stream")
    batches, epoch = text_source(text, model), jax.tree.map(jnp.asarray, text.epoch(0))
    optimizer = optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(RATE))
    advance = build_train_steps(cross_entropy(model), batches, optimizer, clip=CLIP, guard=guard)
    state = create_state(model.init, batches, optimizer, 0, guarded=guard is not None)

    def again():
        nonlocal state
        state = state.replace(step=jnp.zeros((), int), position=jnp.zeros((), int))
        before = state
        took, state = timed(lambda: advance(before, epoch, steps))
        assert int(state.step) == steps, "an incident would end the dispatch"
        return took

    return again


def measure(sizes: dict, steps: int, rounds: int) -> dict:
    """The times of one model, milliseconds a step."""
    guard = Guard(POLICIES["skip"], lambda step: RATE, CLIP)
    work = {"plain": dispatch(sizes, steps, None), "guarded": dispatch(sizes, steps, guard)}
    times = by_turns(work, rounds, warm_up=2)
    plain, guarded = (min(times[name]) for name in ("plain", "guarded"))
    ratios = [b / a for a, b in zip(times["plain"], times["guarded"], strict=True)]
    return {
        "cost": guarded / plain - 1,
        "median_cost": statistics.median(ratios) - 1,
        "plain_ms": 1e3 * plain / steps,
        "guarded_ms": 1e3 * guarded / steps,
        "slowest_ms": 1e3 * max(times["plain"]) / steps,
    }


COLUMNS = {
    "model": "cell, layers x units, vocabulary",
    "cost": "least time with the guard over that without, less 1",
    "median_cost": "median over the rounds of the same ratio within a round, less 1",
    "plain_ms": "least time of a step without the guard (ms)",
    "guarded_ms": "least time of a step with it (ms)",
    "slowest_ms": "largest time of a step without the guard (ms): what other work on the machine does to it",
}


def findings(results: dict) -> Findings:
    """What the times say."""
    rows = [{"model": name, **row} for name, row in results["models"].items()]
    largest = max(row["cost"] for row in rows)
    return Findings(
        title=f"The look at every step costs {largest:.1%} of its time at most",
        answer=f"A step with the guard takes {largest:.1%} more time at most than one without.",
        verdicts=[Verdict("less than 1 % of the time of a step", f"{largest:.2%} at most", largest < MOST)],
        means=[],
        rows=rows,
        columns=COLUMNS,
    )


def run(arguments) -> dict:
    """Measures every model."""
    models, steps, rounds = (SMOKE, 2, 2) if arguments.smoke else (MODELS, arguments.steps, arguments.rounds)
    found = functools.partial(measure, steps=steps, rounds=rounds)
    return {"steps": steps, "rounds": rounds, "models": {name: found(sizes) for name, sizes in models.items()}}


if __name__ == "__main__":
    STUDY.main(run, findings)
