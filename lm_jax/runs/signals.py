"""Stopping in good order: the first signal asks, the second insists."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def stop_on_signal(stopped: threading.Event) -> Iterator[None]:
    """Sets an event at the first Ctrl-C or SIGTERM; the second has its usual effect."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def stop(number, frame):
        stopped.set()
        signal.signal(number, before[number])

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
