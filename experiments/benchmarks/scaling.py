"""What do many devices cost in communication, and how far would data parallel training scale?

    python experiments/benchmarks/scaling.py     about 5 minutes on 2 CPU cores

Measured, at 1, 2, 4 and 8 simulated devices, for both engines of the recurrence: the time of a training step of an
LSTM with the same batch in all (minima over --rounds, by turns), and the bytes that a device adds up with the others
in a step, read from the compiled program: operands of all-reduce, those in a loop as often as the loop runs. The
simulated devices share the cores of this machine, so the work is always the same and efficiency, the time of one
device by that of n, measures the overhead alone.

Counted, for a large vocabulary: the same bytes, and those of parameters on one device, with the vocabulary cut.

Predicted, not measured: efficiency on 8 to 256 chips with a fixed batch a chip, t / (t + a), of
    t   compute: 6 FLOPs a weight of a product and token, at UTILISATION of the chip's peak, and ITERATION for every
        iteration of the loops over time
    a   ring all-reduce: 2 (n - 1) / n bytes / bandwidth + 2 (n - 1) latencies for each; nothing overlaps with compute

Expected: the fused engine adds up each gradient once; the plain scan that of the recurrent weights at every time step.
"""

import functools
import os
from typing import NamedTuple


os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")  # JAX reads it when it is imported

import jax
import numpy as np

from experiments.benchmarks.collectives import moved
from experiments.benchmarks.scaling_report import COUNTS, ENGINES, assumptions, findings, predict
from experiments.harness import Study, integer
from experiments.harness.timing import by_turns, medians, minima, stepper
from lm_jax.config import LSTMConfig, OptimizerConfig, RecurrentConfig
from lm_jax.data import Streams
from lm_jax.models import from_config
from lm_jax.training import (
    TrainState,
    build_optimizer,
    build_schedule,
    build_train_steps,
    chunk_source,
    create_state,
    cross_entropy,
)
from lm_jax.training.devices import find_devices


STUDY = Study(__doc__, __file__, {"--rounds": integer(30)})


class Work(NamedTuple):
    """A model and its batch: cell LSTM, `batch` streams in all, chunks of `steps`."""

    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    batch: int
    steps: int

    def matmul_weights(self) -> int:
        """Weights that every token is multiplied by."""
        below = self.embedding + (self.layers - 1) * self.hidden
        return 4 * self.hidden * (below + self.layers * self.hidden) + self.hidden * self.vocabulary


MEASURED = Work(vocabulary=96, embedding=64, hidden=256, layers=1, batch=64, steps=64)
LARGE = Work(vocabulary=33_280, embedding=650, hidden=650, layers=2, batch=512, steps=35)  # 64 streams a device
TINY = Work(vocabulary=16, embedding=8, hidden=8, layers=1, batch=8, steps=4)


class Prepared(NamedTuple):
    """Compiled steps, their state (None if it was not to be made) and streams; bytes of the parameters on a device."""

    program: jax.stages.Compiled
    state: TrainState | None
    streams: Streams
    parameter_bytes: int


def prepare(work: Work, engine: str, count: int, shards: int = 1, run: bool = True) -> Prepared:
    """Training steps on so many devices, with Adam and clipping."""
    cell = LSTMConfig(recurrence=engine)
    settings = RecurrentConfig(cell=cell, embedding_size=work.embedding, hidden_size=work.hidden, layers=work.layers)
    model = from_config(settings, work.vocabulary)
    options = OptimizerConfig()
    optimizer = build_optimizer(options, build_schedule(options, 1000))
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    devices = find_devices(count, shards).for_model(shapes, model.vocab_axes(shapes))
    # the same rows again and again: times do not depend on tokens
    batches = chunk_source(model, work.batch, work.steps, steps_per_epoch=10**6)
    holds = {"hold": devices.hold, "hold_rows": devices.hold_rows}
    steps = build_train_steps(cross_entropy(model), batches, optimizer, clip=options.clip, **holds)
    tokens = np.random.default_rng(0).integers(0, work.vocabulary, (work.steps + 1, work.batch)).astype(np.int32)

    def create():
        return create_state(model.init, batches, optimizer, seed=0)

    abstract = jax.eval_shape(create)
    if devices.mesh is not None:
        shardings = devices.shardings(abstract)
        abstract = jax.tree.map(lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), abstract, shardings)
    streams = devices.place_epoch(Streams(tokens, np.full(work.batch, work.steps, np.int32)))
    program = devices.over(lambda *arguments: steps.lower(*arguments).compile())(abstract, streams, 1)
    on_one = sum(_held(leaf) for leaf in jax.tree.leaves(abstract.params))
    return Prepared(program, devices.place(create()) if run else None, streams, on_one)


def _held(leaf):
    """Bytes of an array on one device."""
    shape = leaf.shape if leaf.sharding is None else leaf.sharding.shard_shape(leaf.shape)
    return int(np.prod(shape)) * leaf.dtype.itemsize


def measure(work: Work, rounds: int) -> list[dict]:
    """A row for each engine and number of devices."""
    prepared = {(engine, n): prepare(work, engine, n) for engine in ENGINES for n in COUNTS}
    steps = {case: stepper(one.program, one.state) for case, one in prepared.items()}
    work = {case: functools.partial(steps[case], one.streams, 1) for case, one in prepared.items()}
    times = by_turns(work, rounds)
    fastest, middle = minima(times), medians(times)
    return [
        {
            "engine": engine,
            "devices": n,
            "step_ms": 1e3 * fastest[engine, n],
            "median_step_ms": 1e3 * middle[engine, n],
            "efficiency": fastest[engine, 1] / fastest[engine, n],
            "parameter_bytes": one.parameter_bytes,
            "moved": moved(one.program.as_text()),
        }
        for (engine, n), one in prepared.items()
    ]


def count_large(work: Work) -> list[dict]:
    """A row for each engine and way to cut: bytes of a step on eight devices, and of the parameters on each."""
    rows = []
    for engine, shards in (("fused", 1), ("scan", 1), ("fused", 2), ("fused", 4), ("fused", 8)):
        # every chip has as many rows of the batch with any cut, so that the bytes compare
        one = prepare(work._replace(batch=work.batch // shards), engine, COUNTS[-1], shards, run=False)
        found = moved(one.program.as_text())
        rows.append({"engine": engine, "vocab_shards": shards, "parameter_bytes": one.parameter_bytes, "moved": found})
    return rows


def run(arguments) -> dict:
    """Measures, counts, predicts."""
    work, large = (TINY, TINY._replace(batch=64)) if arguments.smoke else (MEASURED, LARGE)
    measured = measure(work, 2 if arguments.smoke else arguments.rounds)
    counted = count_large(large)
    tokens = large.batch // COUNTS[-1] * large.steps
    predicted = predict(counted, large.matmul_weights(), tokens, large.layers * large.steps)
    return {
        "work": work._asdict(),
        "measured": measured,
        "large_work": large._asdict(),
        "counted": counted,
        "assumptions": assumptions(),
        "predicted": predicted,
    }


if __name__ == "__main__":
    STUDY.main(run, findings)
