"""Rows of a table out of richer records."""

from collections.abc import Iterable
from typing import Any


def with_ends(records: Iterable[dict[str, Any]], *left_out: str) -> list[dict[str, Any]]:
    """The records with the ends of their "interval" as columns, and without the fields named."""
    rows = []
    for record in records:
        low, high = record["interval"]
        plain = {name: value for name, value in record.items() if name not in ("interval", *left_out)}
        rows.append({**plain, "low": low, "high": high})
    return rows
