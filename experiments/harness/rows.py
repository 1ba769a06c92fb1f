"""Records, which are dicts: some of them, some of their fields, and rows of a table out of richer ones."""

from collections.abc import Iterable
from typing import Any


Record = dict[str, Any]


def where(records: Iterable[Record], **fields: Any) -> list[Record]:
    """The records in which the fields have these values."""
    return [record for record in records if all(record[name] == value for name, value in fields.items())]


def groups(records: Iterable[Record], field: str) -> dict[Any, list[Record]]:
    """The records by the value of a field, in the order of its first appearance."""
    found: dict[Any, list[Record]] = {}
    for record in records:
        found.setdefault(record[field], []).append(record)
    return found


def only(record: Record, names: Iterable[str]) -> Record:
    """The fields named, in their order."""
    return {name: record[name] for name in names}


def without(record: Record, *names: str) -> Record:
    """The fields but for those named."""
    return {name: value for name, value in record.items() if name not in names}


def with_ends(records: Iterable[Record], *left_out: str) -> list[Record]:
    """The records with the ends of their "interval" as columns, and without the fields named."""
    names = ("low", "high")
    return [without(r, "interval", *left_out) | dict(zip(names, r["interval"], strict=True)) for r in records]


def filled(records: Iterable[Record]) -> list[Record]:
    """The records with the same fields, in the order of their first appearance; None where one lacks a field."""
    records = list(records)
    names = list(dict.fromkeys(name for record in records for name in record))
    return [{name: record.get(name) for name in names} for record in records]
