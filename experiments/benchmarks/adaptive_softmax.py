"""How much faster is a training step with an adaptive softmax, at a vocabulary of 33,278 words?

    python experiments/benchmarks/adaptive_softmax.py     about 2 minutes on 2 CPU cores

Whole steps (loss, gradient, clipping, SGD) of LSTM language models at a batch of 20 and 35 steps: 1x200 untied, and
2x650 tied, with the full softmax and with cutoffs at 2,000 and 10,000. Words are drawn by Zipf's law, 1 / (rank + 2.7).
Of a tail cluster the rows that need it are worked off some at a time: 64 is what the library does, the others (700: all
rows of the batch in every tail) show why. All in one process by turns; minima and medians over --rounds.

Expected: at least 5 times faster at 1x200, twice at 2x650.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness import Findings, Study, Verdict, integer
from experiments.harness.figures import bars
from experiments.harness.timing import by_turns, medians, minima, stepper, timed
from lm_jax.cells import lstm, stacked
from lm_jax.data import Streams
from lm_jax.models import recurrent_lm
from lm_jax.models.recurrent import tail_log_probs
from lm_jax.report.study import Picture
from lm_jax.training import build_train_steps, chunk_source, create_state, cross_entropy


OPTIONS = {"--rounds": integer(12, "at 200 units; half of them at 650")}
STUDY = Study(__doc__, __file__, OPTIONS)
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
    batches = chunk_source(model, BATCH, BPTT, STEPS)
    train_steps = build_train_steps(cross_entropy(model), batches, optimizer)
    state = create_state(model.init, batches, optimizer, seed=0)
    length = STEPS * BPTT
    streams = Streams(jnp.asarray(zipf(vocab_size, (length + 1, BATCH))), jnp.full((BATCH,), length))
    parameters = sum(p.size for p in jax.tree.leaves(state.params))
    tail_log_probs.ROWS = rows  # read when the step is traced
    took, compiled = timed(lambda: train_steps.lower(state, streams, STEPS).compile())
    tail_log_probs.ROWS = ROWS
    step = stepper(compiled, state)
    return lambda: 1e3 * step(streams, STEPS) / STEPS, took, parameters


def measure(vocab_size, cell, variants, rounds):
    """Minima and medians of every variant of one model."""
    prepared = {name: prepare(vocab_size, cell, *variant) for name, variant in variants.items()}
    times = by_turns({name: run for name, (run, *_) in prepared.items()}, rounds)
    least, middle = minima(times), medians(times)
    return {
        name: {
            "minimum_ms": least[name],
            "median_ms": middle[name],
            "full_softmax_over_this": least["full"] / least[name],
            "compile_seconds": took,
            "parameters": parameters,
        }
        for name, (_, took, parameters) in prepared.items()
    }


def measure_all(vocab_size, cutoffs, sizes, rounds) -> dict:
    """Every variant of the small and of the large model."""
    small, large = sizes

    def cells(layers, size):
        made = [lstm(size, size, recurrence="fused") for _ in range(layers)]
        return made[0] if layers == 1 else stacked(made, dropout_rate=0.2)

    by_rows = {f"adaptive, {n} rows": ({"cutoffs": cutoffs}, n) for n in (ROWS, 32, 128, BATCH * BPTT)}
    tied = {"tied": True, "cutoffs": cutoffs}
    untied_variants = {"full": ({}, ROWS), **by_rows, "adaptive, tied": (tied, ROWS)}
    tied_variants = {"full": ({"tied": True}, ROWS), "adaptive": (tied, ROWS)}
    return {
        f"LSTM 1x{small}": measure(vocab_size, cells(1, small), untied_variants, rounds),
        f"LSTM 2x{large} tied": measure(vocab_size, cells(2, large), tied_variants, (rounds + 1) // 2),
    }


COLUMNS = {
    "model": "cell, layers x units",
    "softmax": "the full softmax, or the adaptive one with so many rows of a tail cluster worked off at a time",
    "minimum_ms": "least time of a training step over the rounds (ms)",
    "median_ms": "median of the same (ms)",
    "full_softmax_over_this": "how many times faster than the full softmax, by the least times",
    "compile_seconds": "compilation of a step (s)",
    "parameters": "numbers that are trained",
}
AIMS = (5, 2)  # times faster, of the small and of the large model


def findings(results: dict) -> Findings:
    """What the times say."""
    rows = [
        {"model": name, "softmax": variant, **row}
        for name, variants in results["results"].items()
        for variant, row in variants.items()
    ]
    found = [
        (name, next(row["full_softmax_over_this"] for variant, row in variants.items() if variant != "full"))
        for name, variants in results["results"].items()
    ]
    (_, small), (_, large) = found
    title = f"An adaptive softmax makes training steps {large:.1f} to {small:.1f} times faster"
    times = {f"{r['model']}, {r['softmax']}": r["full_softmax_over_this"] for r in rows if r["softmax"] != "full"}
    picture = bars(times, title, "times faster than a step with the full softmax", "{:.1f}")
    return Findings(
        title=title,
        answer=f"Over {results['vocabulary']:,} words steps are {small:.1f} times faster than with the full softmax at "
        f"the small model, {large:.1f} times at the large one.",
        verdicts=[
            Verdict(f"at least {aim} times faster: {name}", f"{times_:.2f} times", times_ >= aim)
            for aim, (name, times_) in zip(AIMS, found, strict=True)
        ],
        means=rows,
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("adaptive_softmax", picture, f"{title}, over {results['vocabulary']:,} words.")],
    )


def run(arguments) -> dict:
    """Measures all variants."""
    vocab_size, cutoffs, sizes = (60, (10, 30), (8, 8)) if arguments.smoke else (33278, (2000, 10000), (200, 650))
    rounds = 1 if arguments.smoke else arguments.rounds
    return {
        "vocabulary": vocab_size,
        "cutoffs": cutoffs,
        "tokens_in_the_head": float(np.mean(zipf(vocab_size, (10**5,)) < cutoffs[0])),
        "batch": BATCH,
        "bptt": BPTT,
        "rounds": rounds,
        "results": measure_all(vocab_size, cutoffs, sizes, rounds),
    }


if __name__ == "__main__":
    STUDY.main(run, findings)
