"""JSON as everybody reads it: it has no infinity and no NaN, so such a number is null."""

import json
import math


def to_json(record, indent: int | None = None) -> str:
    """One JSON value of dicts, lists, numbers and strings; numpy's numbers and arrays become Python's."""
    return json.dumps(_plain(record), indent=indent)


def _plain(value):
    if isinstance(value, dict):
        return {str(name): _plain(v) for name, v in value.items()}
    if hasattr(value, "tolist"):  # an array, or a number of numpy
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
