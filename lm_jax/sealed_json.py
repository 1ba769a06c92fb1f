"""JSON files that notice a change: an object is written with a checksum of all else that it holds.

A flipped bit in a number is still JSON, and gives another number in silence. A file without a checksum, of a version
that wrote none or from a person's hand, is read as it is.
"""

import hashlib
from pathlib import Path
from typing import Any

from lm_jax.strict_json import from_json, to_json, write_json


SEAL = "checksum"


def write_sealed(path: Path, record: Any) -> None:
    """Writes a record with its checksum, as `write_json` does."""
    values = _without_seal(from_json(to_json(record)))
    write_json(path, values | {SEAL: _checksum(values)})


def take_seal(values: dict[str, Any]) -> bool:
    """Removes the checksum from what was read; returns whether it fits, or there was none."""
    return SEAL not in values or values.pop(SEAL) == _checksum(values)


def _without_seal(values):
    return {name: value for name, value in values.items() if name != SEAL}


def _checksum(values):
    try:
        content = to_json(values).encode()
    except ValueError:  # the longest numbers, which can be read and not written
        return None
    return hashlib.blake2b(content, digest_size=16).hexdigest()
