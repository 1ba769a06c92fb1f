"""JSON as everybody reads it: it has no infinity and no NaN, so such a number is null."""

import json
import math


def to_json(record, indent: int | None = None) -> str:
    """Writes as JSON records (NamedTuples, which become objects), dicts, lists, numbers and strings.

    Numbers and arrays of numpy become Python's.
    """
    return json.dumps(_plain(record), indent=indent, allow_nan=False)


def _plain(value):
    if hasattr(value, "_asdict"):  # a NamedTuple
        value = value._asdict()
    if isinstance(value, dict):
        return {str(name): _plain(v) for name, v in value.items()}
    if hasattr(value, "tolist"):  # an array, or a number of numpy
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
