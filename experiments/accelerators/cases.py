"""Cases, one after another until the time is up: each leaves a row, also where it is refused or fails."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lm_jax.errors import UserError


Row = dict[str, Any]


class Case(NamedTuple):
    """One question to the device.

    part: "right" or "fast". seconds: what it takes on an accelerator, compilation included, by a guess: it does not
    begin where less is left. run: answers with the fields of its row.
    """

    part: str
    name: str
    seconds: float
    run: Callable[[], Row]


def run_cases(
    cases: Sequence[Case],
    deadline: float,
    add: Callable[[Row], None],
    clock: Callable[[], float] = time.perf_counter,
) -> list[str]:
    """Runs the cases in order, each row given to `add` as soon as it is there; returns the names of those left out.

    Args:
        cases: the most telling first.
        deadline: the time of the clock after which nothing may run.
        add: takes a row.
        clock: returns the time in seconds.
    """
    left_out = []
    for case in cases:
        started = clock()
        if started + case.seconds > deadline:
            left_out.append(case.name)
            continue
        answer = _answer(case)
        add({"part": case.part, "case": case.name, **answer, "seconds": round(clock() - started, 2)})
    return left_out


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
