"""Compile time of the training steps, and whether the program came from the cache, from JAX's own events."""

import functools
from collections.abc import Callable

from jax import monitoring

from lm_jax.training.listener import Compilation
from lm_jax.training.state import TrainStepsFn


def reporting_compilation(train_steps: TrainStepsFn, report: Callable[[Compilation], None]) -> TrainStepsFn:
    """Wraps `train_steps` so that its first call reports how it was compiled, if it was not compiled before."""
    first = True

    def steps(state, epoch, count, length=None):
        nonlocal first
        if not first:
            return train_steps(state, epoch, count, length=length)
        first = False
        _listen()
        _durations.clear()
        _hits.clear()
        state = train_steps(state, epoch, count, length=length)
        if _durations:
            report(Compilation(sum(_durations), bool(_hits)))
        return state

    return steps


_durations: list[float] = []
_hits: list[str] = []


@functools.cache
def _listen() -> None:
    """JAX has no way to take a listener off again, so there is one, for good."""
    monitoring.register_event_duration_secs_listener(_on_duration)
    monitoring.register_event_listener(_on_event)


def _on_duration(event: str, duration_secs: float, **_: str | int) -> None:
    if event == "/jax/core/compile/backend_compile_duration":  # also around the reading from the cache
        _durations.append(duration_secs)


def _on_event(event: str, **_: str | int) -> None:
    if event == "/jax/compilation_cache/cache_hits":
        _hits.append(event)
