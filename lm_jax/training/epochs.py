"""The arrays that steps read: of a whole epoch, or of a piece of it while the next is on its way to the devices."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from lm_jax.training.batch_source import BatchSource
from lm_jax.training.devices import Devices


SHARE, TOKEN_BYTES = 4, 4  # of a device's memory a quarter at most is for the text; a token is an int32
UNTOLD = 1 << 26  # tokens, 256 MiB: for a device that does not say what memory it has, such as a CPU


def tokens_that_fit(tokens: int, devices: int) -> int | None:
    """Returns how many tokens of a text fit a quarter of the memory of the devices that share it; None if all do.

    Args:
        tokens: of the text.
        devices: how many have a part of its rows each.
    """
    try:
        memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    except Exception:  # plugins raise what they like where they do not count
        memory = None
    most = devices * memory // (SHARE * TOKEN_BYTES) if memory else UNTOLD
    return None if tokens <= most else most


class _Held(NamedTuple):
    """Arrays on the devices: of a pass, the batches from `first` up to `until`."""

    number: int
    first: int
    until: int
    arrays: Any

    def has(self, number: int, place: int) -> bool:
        return self.number == number and self.first <= place < self.until


class Epochs:
    """The arrays that the batches of a training are in.

    Args:
        batches: the batch source.
        devices: where the arrays go.
    """

    def __init__(self, batches: BatchSource, devices: Devices):
        self._batches, self._devices = batches, devices
        self._held: _Held | None = None
        self._next: Future[_Held] | None = None
        self._reader = ThreadPoolExecutor(1) if batches.piece else None

    def at(self, number: int, place: int) -> tuple[Any, int]:
        """Returns the arrays that have a batch, and the place of the first batch that is not in them.

        Args:
            number: of the pass.
            place: of the batch in it.
        """
        if self._held is None or not self._held.has(number, place):
            self._held = None  # its memory is free for the next
            self._held = self._arrived(number, place) or self._load(number, place)
            self._prefetch(self._held)
        return self._held.arrays, self._held.until

    def _arrived(self, number, place):
        """The piece that was asked for ahead, if it is the one."""
        ahead, self._next = self._next, None
        piece = None if ahead is None else ahead.result()
        return piece if piece is not None and piece.has(number, place) else None

    def _load(self, number, place):
        if self._batches.piece is None:
            arrays, first, until = self._batches.epoch(number), 0, self._batches.steps_per_epoch
        else:
            (arrays, until), first = self._batches.piece(number, place), place
        return _Held(number, first, until, self._devices.place_epoch(arrays))

    def _prefetch(self, held):
        if self._reader is not None:
            number, place = held.number, held.until
            if place == self._batches.steps_per_epoch:
                number, place = number + 1, 0
            self._next = self._reader.submit(self._load, number, place)


def equal_lengths(lengths: np.ndarray) -> tuple[int, int]:
    """Returns how many batches are as long as the first, and how long that is: they go into one dispatch."""
    different = np.flatnonzero(lengths != lengths[0])
    return int(different[0]) if len(different) else len(lengths), int(lengths[0])
