"""lm_jax's side of `speed.py`: the library as a script uses it, with its default settings unless an engine is named."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.peers.work import CLIP, LEARNING_RATE, Contender, Generation, Layers, Step
from experiments.harness.timing import stepper, timed
from lm_jax.cells import stacked
from lm_jax.config import CELLS, LSTMConfig, OptimizerConfig, RecurrentConfig
from lm_jax.data import Streams
from lm_jax.inference import generate
from lm_jax.models import from_config
from lm_jax.training import (
    build_optimizer,
    build_schedule,
    build_train_steps,
    chunk_source,
    create_state,
    cross_entropy,
)


CHUNKS = 20  # of an epoch of made-up tokens
SECONDS_PER_DISPATCH = 1.0  # what the training loop aims at


def layers(work: Layers, recurrence: str | None = None, compute_dtype: str | None = None) -> Contender:
    """A stack of cells, on the engine named or on the default one."""
    options = {"compute_dtype": compute_dtype} | ({} if recurrence is None else {"recurrence": recurrence})
    make = CELLS[work.cell].make()
    stack = stacked([make(work.units, work.units, **options) for _ in range(work.layers)])
    params = stack.init(jax.random.key(0))
    carry = stack.initial_carry(params, (work.batch,))
    shape = (2, work.steps, work.batch, work.units)
    xs, weights = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)

    def loss(params, xs):
        return jnp.sum(weights * stack.unroll(params, carry, xs)[1])

    function = jax.grad(loss, (0, 1)) if work.direction == "both" else loss
    took, compiled = timed(lambda: jax.jit(function).lower(params, xs).compile())
    return Contender(lambda: jax.block_until_ready(compiled(params, xs)), compile_seconds=took)


def model_of(work: Step | Generation, recurrence: str | None = None, compute_dtype: str | None = None):
    """The language model."""
    config = RecurrentConfig(
        cell=LSTMConfig() if recurrence is None else LSTMConfig(recurrence=recurrence),
        layers=work.layers,
        hidden_size=work.units,
        embedding_size=work.units,
        dropout=getattr(work, "dropout", 0.0),
        tied=getattr(work, "tied", False),
        compute_dtype=compute_dtype or "float32",
    )
    return from_config(config, work.vocab_size)


def training(work: Step, recurrence: str | None = None, compute_dtype: str | None = None):
    """(train_steps, streams of made-up tokens, seed -> the state before the first step)."""
    model = model_of(work, recurrence, compute_dtype)
    config = OptimizerConfig(optimizer="sgd", learning_rate=LEARNING_RATE, clip=CLIP, schedule="constant")
    optimizer = build_optimizer(config, build_schedule(config, 1))
    batches = chunk_source(model, work.batch, work.steps, CHUNKS)
    train_steps = build_train_steps(cross_entropy(model), batches, optimizer, clip=CLIP)
    rows = CHUNKS * work.steps
    tokens = np.random.default_rng(0).integers(0, work.vocab_size, (rows + 1, work.batch)).astype(np.int32)
    streams = Streams(jnp.asarray(tokens), jnp.full((work.batch,), rows, jnp.int32))
    return train_steps, streams, lambda seed: create_state(model.init, batches, optimizer, seed)


def step(work: Step, recurrence: str | None = None, compute_dtype: str | None = None) -> Contender:
    """Training steps in dispatches of about a second, as the training loop makes them."""
    train_steps, streams, create = training(work, recurrence, compute_dtype)
    state = create(0)
    took, function = timed(lambda: train_steps.lower(state, streams, 1).compile())
    run = stepper(function, state)
    run(streams, 1)
    count = max(1, int(SECONDS_PER_DISPATCH / run(streams, 1)))
    return Contender(lambda: run(streams, count), count, took)


def generation(work: Generation) -> Contender:
    """`lm_jax.inference.generate`."""
    model = model_of(work)
    params, key = model.init(jax.random.key(0)), jax.random.key(1)
    prompt = np.zeros((0,), np.int32)
    return Contender(lambda: generate(model, params, prompt, work.tokens, key, eol_id=0), work.tokens)
