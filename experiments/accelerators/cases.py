"""Cases, one after another until the time is up: each leaves a row, also where it is refused or fails."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple

from lm_jax.errors import UserError


Row = dict[str, Any]


class Case(NamedTuple):
    """One question to the device.

    part: "right" or "fast". seconds: what it takes on an accelerator, compilation included, by a guess: it does not
    begin where less is left. run: answers with the fields of its row. beside: whether it may go on beside others:
    compilation takes most of the time, and few of a host's cores.
    """

    part: str
    name: str
    seconds: float
    run: Callable[[], Row]
    beside: bool = False


def run_cases(
    cases: Sequence[Case],
    deadline: float,
    add: Callable[[Row], None],
    clock: Callable[[], float] = time.perf_counter,
    workers: int = 1,
) -> list[str]:
    """Runs the cases in order, each row given to `add` as soon as it is there; returns the names of those left out.

    Args:
        cases: the most telling first.
        deadline: the time of the clock after which nothing may run.
        add: takes a row.
        clock: returns the time in seconds.
        workers: how many may go on beside each other, those that may.
    """
    left_out, pool = [], ThreadPoolExecutor(workers)
    try:
        for group in groups(cases, workers):
            fitting = [case for case in group if clock() + case.seconds <= deadline]
            left_out += [case.name for case in group if case not in fitting]
            if group[0].beside:
                for future in as_completed([pool.submit(_row, case, clock) for case in fitting]):
                    add(future.result())
            else:
                for case in fitting:
                    add(_row(case, clock))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # at Ctrl-C nothing else is begun
    return left_out


def groups(cases: Sequence[Case], workers: int) -> Iterator[list[Case]]:
    """Yields the cases in order, one alone or as many as there are workers, where later ones come forward."""
    waiting = list(cases)
    while waiting:
        first = waiting[0]
        group = [case for case in waiting if case.beside][:workers] if first.beside else [first]
        yield group
        waiting = [case for case in waiting if case not in group]


def _row(case, clock):
    started = clock()
    answer = _answer(case)
    return {"part": case.part, "case": case.name, **answer, "seconds": round(clock() - started, 2)}


def _answer(case):
    try:
        return case.run()
    except UserError as error:  # an engine that is not for this device
        return {"refused": str(error)}
    except Exception as error:  # a device fails in as many ways as there are devices; the other cases go on
        lines = str(error).strip().splitlines() or [""]
        return {"failed": f"{type(error).__name__}: {lines[0][:200]}"}


def by_turns(*lists: Sequence[Case]) -> list[Case]:
    """Merges lists of cases, the first of each first, so that each has had about the same share of its own length."""
    placed = [(k / len(cases), n, case) for n, cases in enumerate(lists) for k, case in enumerate(cases)]
    return [case for *_, case in sorted(placed, key=lambda one: one[:2])]
