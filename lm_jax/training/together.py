"""Several runs of one model that differ in their seeds, driven side by side.

    in turn      the steps of one run, then those of the next: each run has the bits that it has alone
    vmapped      all at once, as one program whose arrays have a leading axis of runs: the same up to rounding

On a CPU one run fills the cores, and XLA multiplies stacked matrices slower than single ones: eight runs of a 2x200
LSTM (V = 10,000, 2 cores) took 8.5 times as long as one when vmapped, 8.1 in turn. So a CPU takes turns. What an
accelerator that one run does not fill gains by the other is not measured.
"""

import contextlib
import operator
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from lm_jax.data.batching import Streams
from lm_jax.training.loop import Course, Dispatch, Done, Result
from lm_jax.training.state import TrainState, TrainStepsFn


AdvanceFn = Callable[[Sequence[TrainState], Sequence[Streams], int, int], Sequence[TrainState]]


def in_turn(train_steps: TrainStepsFn) -> AdvanceFn:
    """`count` steps of every run, one run after the other."""

    def advance(states, streams, count, length):
        return [train_steps(*one, count, length=length) for one in zip(states, streams, strict=True)]

    return advance


def vmapped(train_steps: TrainStepsFn) -> AdvanceFn:
    """`count` steps of all runs as one program. The `vmap` is inside the loop over steps, never around it."""

    def advance(states, streams, count, length):
        def step(_, stacked):
            return jax.vmap(lambda state, tokens: train_steps(state, tokens, 1, length=length))(stacked, tokens)

        tokens = _stack(streams)
        stacked = jax.lax.fori_loop(0, count, step, _stack(states))
        return [jax.tree.map(operator.itemgetter(number), stacked) for number in range(len(states))]

    return jax.jit(advance, donate_argnums=0, static_argnums=3)


def _stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def for_this_machine(train_steps: TrainStepsFn) -> AdvanceFn:
    """In turn on a CPU, else vmapped."""
    return in_turn(train_steps) if jax.default_backend() == "cpu" else vmapped(train_steps)


def drive_together(
    advance: AdvanceFn, courses: Sequence[Course[Result]], on_dispatch: Callable[[int, float], None]
) -> list[Result]:
    """Does what the courses ask for, as many steps for all as every one wants, each to its own end.

    on_dispatch: told, after a dispatch of all runs, how many steps of each it did, and its seconds.
    """
    results: dict[int, Result] = {}
    asked: dict[int, Dispatch] = {}
    answers: dict[int, Done | None] = dict.fromkeys(range(len(courses)))
    with contextlib.ExitStack() as stack:
        for one in courses:
            stack.enter_context(contextlib.closing(one))
        while True:
            for number, done in answers.items():
                try:
                    asked[number] = courses[number].send(done)
                except StopIteration as end:
                    results[number] = end.value
                    asked.pop(number, None)
            if not asked:
                return [results[number] for number in range(len(courses))]
            answers = _advance_all(advance, asked, on_dispatch)


def _advance_all(advance, asked, on_dispatch):
    requests = list(asked.values())
    count, length = min(request.count for request in requests), requests[0].length
    started = time.perf_counter()
    states = advance([r.state for r in requests], [r.streams for r in requests], count, length)
    jax.block_until_ready([state.step for state in states])
    seconds = time.perf_counter() - started
    on_dispatch(count, seconds)
    share = seconds / len(requests)
    return {number: Done(state, count, share) for number, state in zip(asked, states, strict=True)}
