"""When is a recurrence faster in parallel: time against the length of the text, by cell and engine?

    python experiments/recurrences/length.py     about 15 minutes on 2 CPU cores

One layer of 64 units reads a text of T = 64 to 16,384 vectors, alone (batch 1) and in eight copies (batch 8): the loop
over time (scan) beside the parallel prefix (associative) of minGRU and LRU, beside the chunks of the matrix memories
mLSTM and gated DeltaNet, and beside Newton's iterations of the diagonal GRU; LSTM and GRU, which have the loop alone
(and the derivative written by hand, fused); and attention to the last 128 steps, a piece of the text at once. Timed are
the outputs, and the outputs with the gradients of their sum by parameters and inputs, after compilation, by turns in
one process; the best of --rounds counts. The outputs of the engines of one cell must agree. What "auto" chooses
(lm_jax/cells/engines/from_length.py) comes from here, and is compared with these numbers.

Expected: on CPUs the loop is faster for a vector state at every length, since the prefix does log2(T) times the work
and there are few cores to share it; so are the loop than Newton's iterations; chunks are faster than the loop for
matrices, at least 3 times. On an accelerator the prefix wins from some hundred steps on. Attention costs the same a
step at every length from 1,024 steps on. What "auto" chooses is what is faster.
"""

import argparse
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import Study, integer
from experiments.harness.timing import by_turns, minima, timed
from experiments.recurrences.length_findings import LENGTHS, findings
from lm_jax import cells
from lm_jax.models.attention.layer import attention_layer
from lm_jax.report.study import remember


UNITS, BATCHES, CONTEXT = 64, (1, 8), 128
ENGINES: dict[str, tuple[str, ...]] = {
    "gru": ("scan", "fused"),
    "lstm": ("scan", "fused"),
    "mingru": ("scan", "associative"),
    "lru": ("scan", "associative"),
    "mlstm": ("scan", "chunkwise"),
    "gated_deltanet": ("scan", "chunkwise"),
    "diagonal_gru": ("scan", "newton"),
    "attention": ("pieces",),
}
OWN = {  # layers that no engine is chosen for by name
    "diagonal_gru": lambda: cells.diagonal_gru(UNITS, UNITS),
    "attention": lambda: attention_layer(UNITS, heads=4, context=CONTEXT),
}
HEADS = {"mlstm": {"heads": 4}, "gated_deltanet": {"heads": 4}}
STUDY = Study(__doc__, __file__, {"--rounds": integer(5)})


def build(cell: str, engine: str) -> cells.Cell:
    """A layer with an engine."""
    if cell in OWN:
        return OWN[cell]()
    return getattr(cells, cell)(UNITS, UNITS, recurrence=engine, **HEADS.get(cell, {}))


def in_order(cell: cells.Cell, params: Any, carry: Any, xs: Any) -> Any:
    """The outputs by the engine that the cell has."""
    return cell.unroll(params, carry, xs)[1]


def by_newton(cell: cells.Cell, params: Any, carry: Any, xs: Any) -> Any:
    """The outputs by Newton's iterations, each unit by itself."""
    return cells.unroll_parallel(cell, params, carry, xs, jacobian="units").outputs


UNROLLS = {"newton": by_newton}


def programs(cell: cells.Cell, engine: str, params: Any, xs: Any) -> dict[str, Any]:
    """Compiled calls without arguments: the outputs, and the outputs with the gradients of their sum."""
    carry, unroll = cell.initial_carry(params, xs.shape[1:-1]), UNROLLS.get(engine, in_order)

    def outputs(params, xs):
        return unroll(cell, params, carry, xs)

    def gradients(params, xs):
        return jax.value_and_grad(lambda *args: outputs(*args).sum(), argnums=(0, 1))(params, xs)

    return {
        "outputs": functools.partial(jax.jit(outputs), params, xs),
        "with gradients": functools.partial(jax.jit(gradients), params, xs),
    }


def measure(cell: str, length: int, batch: int, rounds: int) -> dict[str, Any]:
    """Seconds of every engine of a cell at one length, and the largest difference of their outputs."""
    print(f"{cell}, {length:,} steps, batch {batch}", flush=True)
    xs = jax.random.normal(jax.random.key(1), (length, batch, UNITS))
    params = build(cell, ENGINES[cell][0]).init(jax.random.key(0))
    made = {engine: programs(build(cell, engine), engine, params, xs) for engine in ENGINES[cell]}
    first, *others = (np.asarray(calls["outputs"]()) for calls in made.values())
    difference = max((float(np.abs(other - first).max()) for other in others), default=0.0)
    work = {
        f"{engine} {what}": lambda call=call: timed(call)[0]
        for engine, calls in made.items()
        for what, call in calls.items()
    }
    best = minima(by_turns(work, rounds))
    seconds = {engine: {what: best[f"{engine} {what}"] for what in calls} for engine, calls in made.items()}
    scale = float(jnp.abs(first).max())
    return {
        "cell": cell,
        "length": length,
        "batch": batch,
        "seconds": seconds,
        "difference": difference / scale,
        "device": jax.devices()[0].device_kind,
        "backend": jax.default_backend(),
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Times every cell at every length."""
    lengths, batches, rounds = LENGTHS, BATCHES, arguments.rounds
    if arguments.smoke:
        lengths, batches, rounds = LENGTHS[:1], BATCHES[:1], 1
    measured = [
        remember(
            arguments.runs / f"{cell}-{length}-{batch}.json",
            functools.partial(measure, cell, length, batch, rounds),
        )
        for batch in batches
        for cell in ENGINES
        for length in lengths
    ]
    return {"measured": measured}


if __name__ == "__main__":
    STUDY.main(run, findings)
