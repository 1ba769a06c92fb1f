"""Times of several pieces of work, by turns in one process."""

import statistics
from collections.abc import Callable, Mapping


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
