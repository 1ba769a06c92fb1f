"""Arrays that may be longer than memory: maps of files, written at their end and read block by block.

Pages of a map that were read count as memory of the process until they are released. Whoever goes through a map does so
with `blocks` or `take`, which release them.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


BLOCK = 1 << 18  # numbers


def is_mapped(array: Any) -> bool:
    """Says whether an array is a map of a file, or a part of one."""
    return _map_of(array) is not None


def release(*arrays: Any) -> None:
    """Gives the pages of maps back to the system, which has the file; of other arrays, nothing is done."""
    for array in arrays:
        pages = getattr(_map_of(array), "_mmap", None)
        if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED)


def _map_of(array):
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array


def blocks(array: np.ndarray, size: int = BLOCK) -> Iterator[np.ndarray]:
    """Yields an array in parts of so many rows.

    Args:
        array: Any array; the pages of a map are released behind each part.
        size: The rows of a part.
    """
    for start in range(0, len(array), size):
        yield array[start : start + size]
        release(array)


def take(array: np.ndarray, rows: np.ndarray, size: int = BLOCK) -> np.ndarray:
    """Returns array[rows]; a map is gone through once.

    Args:
        array: Any array of one axis.
        rows: Which of its rows, int [N], in any order.
        size: The rows of the array that are looked at at once.
    """
    if not is_mapped(array):
        return array[rows]
    taken = np.empty(len(rows), array.dtype)
    for number, block in enumerate(blocks(array, size)):
        here = np.flatnonzero(rows // size == number)
        taken[here] = block[rows[here] - number * size]
    return taken


class Column:
    """A column of numbers that grows at its end, on disk."""

    def __init__(self, path: Path, dtype: Any):
        self.path, self.dtype, self.length = path, np.dtype(dtype), 0
        path.write_bytes(b"")

    def append(self, values: np.ndarray) -> None:
        """Writes numbers at its end."""
        with self.path.open("ab") as file:
            file.write(np.ascontiguousarray(values, self.dtype).data)
        self.length += len(values)

    def array(self) -> np.ndarray:
        """Returns the whole column as a map, which outlives the name of its file."""
        return np.memmap(self.path, self.dtype, "r", shape=(self.length,)) if self.length else np.zeros(0, self.dtype)


class Parts:
    """A column of numbers that grows at its end, in memory."""

    def __init__(self, dtype: Any):
        self.dtype, self.parts = np.dtype(dtype), []

    def append(self, values: np.ndarray) -> None:
        """Puts numbers at its end."""
        self.parts.append(np.asarray(values, self.dtype))

    def array(self) -> np.ndarray:
        """Returns the whole column."""
        return self.parts[0] if len(self.parts) == 1 else np.concatenate([np.zeros(0, self.dtype), *self.parts])
