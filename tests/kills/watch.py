"""What a process does to the files of a run, seen from within it: each operation has a stage of the run's life."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.runs.copies import WAITING
from lm_jax.training.saved_steps import REMOVING


STAGES = ("start", "first save", "training", "save", "clean-up", "mirror copy", "closing table")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# what Python audits: the arguments that are paths, and the one that is the open folder in which a short path begins
OPERATIONS = {
    "open": ((0,), None),
    "os.rename": ((0, 1), 2),
    "os.remove": ((0,), 1),
    "os.rmdir": ((0,), 1),
    "os.mkdir": ((0,), 2),
    "os.link": ((0, 1), 2),
    "os.truncate": ((0,), None),
}


class Place(NamedTuple):
    """Where a command runs: a folder, in it the run and the folder of its mirror, and the steps that the run has."""

    desk: Path
    run: str
    drive: str
    steps: int


class Death(NamedTuple):
    """When a process dies: just before an operation of a stage, or so many seconds after that has begun."""

    stage: str
    number: int
    after: float = 0.0


class Watch:
    """An audit hook that counts operations by stages, and calls `die` when the time has come.

    Args:
        place: Where the run lies.
        death: When it dies; None for never.
        die: Is called with the death, before the operation.
    """

    def __init__(self, place: Place, death: Death | None, die: Callable[[Death], None]):
        self.counts: Counter[str] = Counter()
        self._place, self._death, self._die = place, death, die
        self._states = place.desk / place.run / "states"
        self._inside = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Hears of everything that Python does in this process."""
        if event not in OPERATIONS or self._inside:
            return
        self._inside = True  # what is done below is no operation of the run
        try:
            paths = self._paths(event, arguments)
            if paths:
                self._count(event, paths)
        finally:
            self._inside = False

    def _paths(self, event, arguments):
        """The paths on which it acts, in the run or its mirror."""
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
            return []
        places, folder = OPERATIONS[event]
        paths = [arguments[number] for number in places if not isinstance(arguments[number], int)]
        begin = os.getcwd()
        if folder is not None and isinstance(arguments[folder], int) and arguments[folder] >= 0:
            begin = os.readlink(f"/proc/self/fd/{arguments[folder]}")
        whole = [os.path.join(begin, os.fsdecode(path)) for path in paths if path is not None]
        desk = self._place.desk
        return [p for p in whole if p.startswith((str(desk / self._place.run), str(desk / self._place.drive)))]

    def _count(self, event, paths):
        stage = self._stage(event, paths)
        self.counts[stage] += 1
        if self._death is not None and (stage, self.counts[stage]) == (self._death.stage, self._death.number):
            self._die(self._death)

    def _stage(self, event, paths):
        text, place = " ".join(paths), self._place
        if str(place.desk / place.drive) in text or WAITING in text:
            return "mirror copy"
        if REMOVING in text or ("states" in text and event in ("os.remove", "os.rmdir")):
            return "clean-up"
        steps = [name for name in os.listdir(self._states) if name.isdecimal()] if self._states.is_dir() else []
        if "states" in text:
            return "save" if steps else "first save"
        if str(place.steps) in steps:
            return "closing table"
        return "training" if "metrics.jsonl" in text or "times.jsonl" in text else "start"
