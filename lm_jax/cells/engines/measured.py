"""The engine that was measured to be fastest, by device, cell and shape: gradients of one layer in float32.

Written by `python experiments/accelerator.py --write-table` from experiments/results/accelerator/; not to be edited.
A device that is not here was not measured.
"""

from typing import NamedTuple


class Measured(NamedTuple):
    """The fastest engine of a cell over rows B, steps T and units H."""

    cell: str
    batch: int
    steps: int
    units: int
    engine: str


MEASURED: dict[str, tuple[Measured, ...]] = {}
