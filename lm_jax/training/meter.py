"""Speed of training steps, and the number of steps that take about a second."""

SECONDS_PER_DISPATCH = 1.0


class Meter:
    """Times dispatches: how many steps make about a second (a stop is answered within that), and steps per second."""

    def __init__(self):
        self.count = 1  # steps to put into the next dispatch
        self._compiled: set[int] = set()
        self._steps, self._seconds = 0, 0.0

    def note(self, count: int, length: int, seconds: float) -> None:
        """Takes in how long `count` steps took; the first of a length compiles and says nothing.

        Args:
            count: The number of steps.
            length: The length of their chunks, for each of which a program is compiled.
            seconds: How long they took.
        """
        if length not in self._compiled:
            self._compiled.add(length)
            return
        self._steps, self._seconds = self._steps + count, self._seconds + seconds
        wanted = int(SECONDS_PER_DISPATCH * count / max(seconds, 1e-6))
        self.count = max(1, min(wanted, 2 * self.count + 8))

    def read(self) -> tuple[float, float | None]:
        """Returns seconds spent on steps since the last reading, and steps per second (None if nothing was timed)."""
        steps, seconds = self._steps, self._seconds
        self._steps, self._seconds = 0, 0.0
        return seconds, steps / seconds if steps else None
