"""A row of the table of measured engines, which is itself written by a program."""

from typing import NamedTuple


class Measured(NamedTuple):
    """The fastest engine of a cell over rows B, steps T and units H."""

    cell: str
    batch: int
    steps: int
    units: int
    engine: str
