"""Times, memory and work of one compiled program."""

import contextlib
import functools
import math
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from unittest import mock

import jax

from experiments.accelerators.precision import LAZILY, on_host
from experiments.harness.timing import timed


SECONDS = 0.5  # of repetitions of one case
MOST = 100  # rounds


class Cost(NamedTuple):
    """What XLA counts of a program: floating-point operations, and bytes read and written by its kernels."""

    operations: float
    bytes: float


def compiled(function: Callable, *arguments: Any) -> tuple[float, Any]:
    """Seconds that compiling took, and the program."""
    return timed_once(lambda: jax.jit(function).lower(*arguments).compile())


def timed_once(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call took on the host, and what it returned."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def times_of(call: Callable[[], Any], seconds: float = SECONDS) -> dict[str, Any]:
    """Milliseconds of a call, waiting for the device after every few of them: median and least of the rounds.

    Args:
        call: returns arrays.
        seconds: how long to repeat it, about; three rounds at least.
    """
    timed(call)
    once = timed(call)[0]
    together = max(1, math.ceil(0.005 / once))
    rounds = min(MOST, max(3, int(seconds / (once * together))))
    times = [timed(lambda: [call() for _ in range(together)][-1])[0] / together for _ in range(rounds)]
    return {"median_ms": 1e3 * statistics.median(times), "minimum_ms": 1e3 * min(times), "rounds": rounds}


def peak_mib(program: Any) -> float | None:
    """MiB that a program holds at most: arguments, results and temporaries; None where XLA does not say."""
    try:
        analysis = program.memory_analysis()
        sizes = (analysis.argument_size_in_bytes, analysis.output_size_in_bytes, analysis.temp_size_in_bytes)
        return (sum(sizes) - analysis.alias_size_in_bytes) / 2**20
    except Exception:  # plugins answer in ways of their own, or not at all
        return None


def cost_of(program: Any) -> Cost | None:
    """What XLA counts, each loop as one turn of it."""
    try:
        found = program.cost_analysis()
        found = found[0] if isinstance(found, Sequence) else found
        return Cost(float(found["flops"]), float(found["bytes accessed"]))
    except Exception:  # as above
        return None


def loop_sizes(program: Any) -> list[int] | None:
    """The number of instructions in the body of each loop, in order: on a GPU, about the kernels that a turn starts."""
    bodies, name = {}, None
    for line in (program.as_text() or "").splitlines():
        head = re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$", line)
        if head:
            name = head[1]
            bodies[name] = 0
        elif name and " = " in line and not NO_KERNEL.search(line):
            bodies[name] += 1
    found = [bodies[body] for body in re.findall(r"\bbody=%?([\w.\-]+)", program.as_text()) if body in bodies]
    return sorted(found) or None


NO_KERNEL = re.compile(r" = .*?\b(parameter|get-tuple-element|tuple|constant|bitcast)\(")


def cost_over_time(build: Callable[[int], tuple[Callable, Sequence[Any]]], steps: int) -> Cost | None:
    """The work of T steps from that of one and of two, without a loop: XLA counts the body of a loop once.

    The programs are compiled for the host, for XLA counts nothing of products that it gives to a library, as it does
    with many of a GPU's. Weights count as read at every step; a kernel that keeps them on the chip reads less than
    that.

    Args:
        build: number of steps -> (function, arguments).
        steps: T.
    """
    found = []
    for count in (1, 2):
        with unrolled(count), on_host():
            function, arguments = build(count)
            found.append(cost_of(jax.jit(function).lower(*arguments).compile(LAZILY)))
    one, two = found
    if one is None or two is None:
        return None
    return Cost(*(a + (steps - 1) * max(0.0, b - a) for a, b in zip(one, two, strict=True)))


@contextlib.contextmanager
def unrolled(times: int) -> Iterator[None]:
    """While programs are traced: the loops over time of all engines take so many steps a turn."""
    if times == 1:
        yield
        return
    with mock.patch.object(jax.lax, "scan", functools.partial(jax.lax.scan, unroll=times)):
        yield


def bound_by(cost: Cost | None, ceilings: dict[str, float], form: str, milliseconds: float) -> dict[str, Any]:
    """What bounds a program: the longer of the times that its operations and its bytes need at the two ceilings.

    Args:
        cost: its work in float32; operands in bfloat16 are half as many bytes.
        ceilings: operations a second by form, and bytes a second.
        form: of its products.
        milliseconds: the time it took.
    """
    if cost is None or form not in ceilings or "bytes" not in ceilings:
        return {}
    moved = cost.bytes / 2 if form == "bfloat16" else cost.bytes
    needed = {"operations": 1e3 * cost.operations / ceilings[form], "bytes": 1e3 * moved / ceilings["bytes"]}
    larger = max(needed, key=lambda name: needed[name])
    share = needed[larger] / milliseconds
    return {
        "operations": cost.operations,
        "bytes": moved,
        "bound_by": larger if share > 1 / 3 else "neither",
        "share_of_ceiling": share,
    }
