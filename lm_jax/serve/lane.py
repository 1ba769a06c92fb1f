"""The one thread that asks the models, and the queue before it, which is short."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lm_jax.serve.limits import Limits, Refusal


class Lane:
    """One question after another: two at a time would share the same cores, and a reader is for one thread."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.waiting = 0
        self._thread = ThreadPoolExecutor(1, "models")

    @contextlib.contextmanager
    def place(self) -> Iterator[float]:
        """Holds a place in the queue, and gives the time by which the answer must be there; raises Refusal (429) where
        there is no place."""
        if self.waiting >= self.limits.waiting:
            raise Refusal(429, f"at most {self.limits.waiting} requests are answered at a time, and as many wait")
        self.waiting += 1
        try:
            yield time.monotonic() + self.limits.seconds
        finally:
            self.waiting -= 1

    async def ask(self, deadline: float, function: Callable, *args: Any) -> Any:
        """Calls a function in the thread; raises Refusal (503) after the deadline.

        A call that has not begun by then never does, nor does that of a client who has gone.

        Args:
            deadline: In seconds of `time.monotonic`.
            function: What to call.
            args: Its arguments.
        """
        future = self._thread.submit(function, *args)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), max(0.0, deadline - time.monotonic()))
        except TimeoutError as error:
            raise Refusal(503, f"an answer may take {self.limits.seconds:g} s, and this one took longer") from error
