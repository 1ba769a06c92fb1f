"""Stopping in good order: the first signal asks, the second insists.

A terminal that is closed only asks: its shell and the system may both tell of it. Where SIGHUP is ignored, as under
nohup, it stays so.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def stop_on_signal(stopped: threading.Event) -> Iterator[None]:
    """Sets an event at the first Ctrl-C, SIGTERM or SIGHUP; a second Ctrl-C or SIGTERM has its usual effect."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, hang_up) if number}
    if before.get(hang_up) == signal.SIG_IGN:
        del before[hang_up]

    def stop(number, frame):
        stopped.set()
        if number != hang_up:
            signal.signal(number, before[number])

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
