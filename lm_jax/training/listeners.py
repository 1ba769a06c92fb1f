"""Several listeners as one."""

from collections.abc import Callable
from typing import Any

from lm_jax.training.listener import Listener


def _each(name: str) -> Callable[..., None]:
    def hear(self: "Listeners", *event: Any) -> None:
        for listener in self.listeners:
            getattr(listener, name)(*event)

    return hear


class Listeners(Listener):
    """Hands every event to each of several listeners, in their order.

    Args:
        *listeners: The listeners.
    """

    def __init__(self, *listeners: Listener):
        self.listeners = listeners

    on_stage = _each("on_stage")
    on_start = _each("on_start")
    on_compilation = _each("on_compilation")
    on_steps = _each("on_steps")
    on_report = _each("on_report")
    on_incident = _each("on_incident")
    on_rollback = _each("on_rollback")
    on_telemetry = _each("on_telemetry")
    on_progress = _each("on_progress")
    on_validation = _each("on_validation")
    on_end = _each("on_end")

    def close(self) -> None:
        """Takes the bars of those away that have one."""
        for listener in self.listeners:
            getattr(listener, "close", lambda: None)()
