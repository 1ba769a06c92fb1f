"""JSON as everybody reads it: it has no infinity and no NaN, so such a number is null."""

import json
import math
from pathlib import Path
from typing import Any

from lm_jax.files import write_text
from lm_jax.input_files import RECORD_LIMIT, read_input


def to_json(record, indent: int | None = None) -> str:
    """Writes as JSON records (NamedTuples, which become objects), dicts, lists, numbers and strings.

    Numbers and arrays of numpy become Python's.
    """
    return json.dumps(_plain(record), indent=indent, allow_nan=False)


def write_json(path: Path, record, indent: int | None = 2) -> None:
    """Writes a record as a file that is whole or not there; the disk has it when this returns.

    Args:
        path: The file.
        record: A record of numbers, texts, lists, tuples, dataclasses and dicts.
        indent: Spaces of indentation; None writes one line.
    """
    write_text(path, to_json(record, indent) + "\n", lasting=True)


def from_json(text: str | bytes) -> Any:
    """Returns the value of a JSON text; raises ValueError for any other text, too deep a one and numbers of thousands
    of digits included."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: str | Path, limit: int = RECORD_LIMIT) -> Any:
    """Returns the value of a JSON file; raises ValueError for another one, and OSError for what is no regular file or
    has more bytes than the limit."""
    return from_json(read_input(path, limit, pipes=False))


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
