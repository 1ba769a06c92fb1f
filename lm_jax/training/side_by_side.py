"""Several trainings of one model that differ in their seeds, side by side.

    in turn      the steps of one run, then those of the next: each run has the bits that it has alone
    vmapped      all at once, as one program whose arrays have a leading axis of runs: the same up to rounding

On a CPU one run fills the cores, and XLA multiplies stacked matrices slower than single ones: eight runs of a 2x200
LSTM (V = 10,000, 2 cores) took 8.5 times as long as one when vmapped, 8.1 in turn. So a CPU takes turns. What an
accelerator that one run does not fill gains by the other is not measured.
"""

import inspect
import operator
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from lm_jax.training.loop import Training
from lm_jax.training.same_bits import same_bits_options
from lm_jax.training.state import TrainState, TrainStepsFn


AdvanceFn = Callable[[Sequence[TrainState], Sequence[Any], int, int], Sequence[TrainState]]


def in_turn(train_steps: TrainStepsFn) -> AdvanceFn:
    """Does `count` steps of every run, one run after the other."""

    def advance(states, epochs, count, length):
        return [train_steps(*one, count, length=length) for one in zip(states, epochs, strict=True)]

    return advance


def vmapped(train_steps: TrainStepsFn) -> AdvanceFn:
    """Does `count` steps of all runs as one program. The `vmap` is inside the loop over steps, never around it."""
    plain = inspect.unwrap(train_steps)  # compiler options are for the outermost program alone

    def advance(states, epochs, count, length):
        def step(_, stacked):
            return jax.vmap(lambda state, epoch: plain(state, epoch, 1, length=length))(stacked, arrays)

        arrays = _stack(epochs)
        stacked = jax.lax.fori_loop(0, count, step, _stack(states))
        return [jax.tree.map(operator.itemgetter(number), stacked) for number in range(len(states))]

    return jax.jit(advance, donate_argnums=0, static_argnums=3, compiler_options=same_bits_options())


def _stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def for_this_machine(train_steps: TrainStepsFn) -> AdvanceFn:
    """Chooses in turn on a CPU, else vmapped."""
    return in_turn(train_steps) if jax.default_backend() == "cpu" else vmapped(train_steps)


def fit_side_by_side(
    trainings: Sequence[Training],
    advance: AdvanceFn,
    on_steps: Callable[[int, float], None],
    on_over: Callable[[int], None] = lambda number: None,
) -> None:
    """Runs trainings to completion, as many steps for all as every one wants, each to its own end.

    Args:
        trainings: of one model, one plan and one length of batches.
        advance: does steps of all runs that are not finished.
        on_steps: hears, after a dispatch of all of them, how many steps of each it did, and its seconds.
        on_over: hears the place of a training that is over.
    """
    going = dict(enumerate(trainings))
    while going:
        asked = {}
        for number, training in list(going.items()):
            request = training.request()
            if request is None:
                del going[number]
                on_over(number)
            else:
                asked[number] = request
        if asked:
            _advance_all(going, list(asked.values()), advance, on_steps)


def _advance_all(going, requests, advance, on_steps):
    count, length = min(request.count for request in requests), requests[0].length
    ends = [int(request.state.step) + count for request in requests]
    started = time.perf_counter()
    states = advance([r.state for r in requests], [r.epoch for r in requests], count, length)
    jax.block_until_ready([state.step for state in states])
    seconds = time.perf_counter() - started
    on_steps(count, seconds)
    for training, state, end in zip(going.values(), states, ends, strict=True):
        training.accept(state, seconds / len(requests))
        _catch_up(training, end, advance)


def _catch_up(training, end, advance):
    """Does the steps that an incident left undone, so that all trainings stay at the same step."""
    while int(training.state.step) < end:
        request, started = training.request(), time.perf_counter()
        if request is None:  # asked to stop meanwhile
            return
        count = min(request.count, end - int(request.state.step))
        (state,) = advance([request.state], [request.epoch], count, request.length)
        jax.block_until_ready(state.step)
        training.accept(state, time.perf_counter() - started)
