"""How long the compiler took for the steps of a run, and whether it was needed: JAX tells both while it compiles."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from jax import monitoring

from lm_jax.training.state import TrainStepsFn


class Compilation(NamedTuple):
    """Seconds to a program that can run, and whether it was read from the cache on disk instead of compiled."""

    seconds: float
    from_cache: bool


def telling_compilation(train_steps: TrainStepsFn, tell: Callable[[Compilation], None]) -> TrainStepsFn:
    """`train_steps`, whose first call tells how it was compiled; nothing where it had been compiled before."""
    first = True

    def steps(state, streams, count, length=None):
        nonlocal first
        if not first:
            return train_steps(state, streams, count, length=length)
        first = False
        _listen()
        _durations.clear()
        _hits.clear()
        state = train_steps(state, streams, count, length=length)
        if _durations:
            tell(Compilation(sum(_durations), bool(_hits)))
        return state

    return steps


_durations: list[float] = []
_hits: list[str] = []


@functools.cache
def _listen() -> None:
    """JAX has no way to take a listener off again, so there is one, for good."""
    monitoring.register_event_duration_secs_listener(_on_duration)
    monitoring.register_event_listener(_on_event)


def _on_duration(event, seconds, **_):
    if event == "/jax/core/compile/backend_compile_duration":  # also around the reading from the cache
        _durations.append(seconds)


def _on_event(event, **_):
    if event == "/jax/compilation_cache/cache_hits":
        _hits.append(event)
