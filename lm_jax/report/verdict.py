"""How an expectation compares with what was found: part by part, and as a whole."""

from collections.abc import Sequence
from typing import NamedTuple


RULE = (
    "Each part is compared with the record by the study's own code; what was expected in words has its bound in "
    "brackets, set when the comparison was written. Confirmed: every part holds; not confirmed: no measured part "
    "holds; partly: anything between."
)
MARKS = {True: "holds", False: "does not hold", None: "not measured"}


class Verdict(NamedTuple):
    """One part of an expectation: what was expected, what was found, and whether it holds (None: not measured)."""

    expected: str
    found: str
    holds: bool | None


def overall(parts: Sequence[bool | None]) -> str:
    """Returns the mark of an expectation whose parts hold or not: confirmed, partly, not confirmed, not measured."""
    known = [bool(holds) for holds in parts if holds is not None]
    if not known:
        return "not measured"
    if not any(known):
        return "not confirmed"
    return "confirmed" if all(known) and len(known) == len(parts) else "partly"
