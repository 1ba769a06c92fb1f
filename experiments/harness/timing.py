"""Times of one piece of work, and of several by turns in one process."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call and what it has set going on the device take, and its result."""
    started = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - started, result


def stepper(advance: Callable[..., Any], state: Any) -> Callable[..., float]:
    """A function that makes the next state, advance(state, *what it is given), and returns the seconds it took."""

    def step(*arguments):
        nonlocal state
        took, state = timed(lambda: advance(state, *arguments))
        return took

    return step


def by_turns(work: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """What each piece of work says that it took, a number a round; rounds to warm up are left out.

    Other work on the machine comes and goes: by turns, it slows all of them alike.
    """
    times = {name: [] for name in work}
    for turn in range(rounds + warm_up):
        for name, call in work.items():
            took = call()
            if turn >= warm_up:
                times[name].append(took)
    return times


def minima(times: Mapping[str, list[float]]) -> dict[str, float]:
    """The least time of each piece of work."""
    return {name: min(taken) for name, taken in times.items()}


def medians(times: Mapping[str, list[float]]) -> dict[str, float]:
    """The median time of each piece of work."""
    return {name: statistics.median(taken) for name, taken in times.items()}
