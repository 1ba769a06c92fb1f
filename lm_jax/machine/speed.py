"""A speed check of a few seconds: matrix products, and training steps of the default model of `lm-jax train`."""

import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.config import RecurrentConfig, TrainConfig
from lm_jax.config.text_defaults import UNCHOSEN
from lm_jax.models.build import from_config


PRODUCTS = 8  # in one dispatch
VOCABULARY = 100


def speeds(accelerator: bool, seconds: float = 6.0) -> Iterator[tuple[str, Callable[[], float]]]:
    """Yields the names of the measurements in order, each with a function that measures.

    GF/s (1e9 multiplications and additions a second) of float32 products, of bfloat16 ones on accelerators only, and
    tokens a second of training. All take about `seconds`, half of them for compiling.
    """
    share = seconds / (3 if accelerator else 2) / 2  # the other half for compiling
    size = 4096 if accelerator else 1024
    yield "float32_gflops", lambda: gflops(jnp.float32, size, share)
    if accelerator:
        yield "bfloat16_gflops", lambda: gflops(jnp.bfloat16, size, share)
    yield "lstm_tokens_per_second", lambda: lstm_tokens_per_second(share)


def gflops(dtype, size: int, seconds: float) -> float:
    """Measures products of two [size, size] matrices, in GF/s, at JAX's default precision.

    Args:
        dtype: The type of the operands.
        size: Rows and columns of a matrix.
        seconds: How long to measure, about.
    """
    generator = np.random.default_rng(0)
    x, w = jnp.asarray(generator.standard_normal((2, size, size), np.float32) / size**0.5, dtype)
    multiply = jax.jit(lambda x, w: jax.lax.fori_loop(0, PRODUCTS, lambda _, x: x @ w, x))
    return rate(lambda x: multiply(x, w), x, seconds) * PRODUCTS * 2 * size**3 / 1e9


def lstm_tokens_per_second(seconds: float) -> float:
    """Measures gradient descent on the default LSTM, in tokens per second (32 streams of 64 steps, V = 100)."""
    bptt, batch_size = UNCHOSEN.bptt, TrainConfig().batch_size
    model = from_config(RecurrentConfig(), VOCABULARY)
    params = jax.jit(model.init)(jax.random.key(0))
    shape = (bptt, batch_size)
    inputs, targets = jnp.asarray(np.random.default_rng(0).integers(0, VOCABULARY, (2, *shape), np.int32))

    def loss(params):
        carry = model.initial_carry(params, (batch_size,))
        _, log_probs = model.score(params, carry, inputs, targets)
        return -jnp.mean(log_probs)

    @jax.jit
    def step(params):
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params))

    return rate(step, params, seconds) * bptt * batch_size


def rate(function: Callable, state, seconds: float) -> float:
    """Calls of `state = function(state)` a second, once compiled; rounds of doubling length until the time is up.

    Args:
        function: The function, from a state to the next.
        state: The first state.
        seconds: How long to measure, about.
    """
    state = jax.block_until_ready(function(state))
    calls, start, round_ = 0, time.perf_counter(), 1
    while (elapsed := time.perf_counter() - start) < seconds / 2 or calls == 0:
        for _ in range(round_):
            state = function(state)
        jax.block_until_ready(state)
        calls, round_ = calls + round_, 2 * round_
    return calls / elapsed
