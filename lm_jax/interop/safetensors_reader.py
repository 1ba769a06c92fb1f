"""Reading safetensors files without the library: 8 bytes for the length of a header of JSON, the header, the numbers.

    {"NAME": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, "__metadata__": {"OTHER": "NAME"}}

Offsets are from the end of the header. Sizes are checked against those of the file before any memory is taken.
"""

import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from lm_jax.input_files import open_regular
from lm_jax.strict_json import from_json


HEADER_LIMIT = 100_000_000  # bytes; that of the library
LONGEST = 64  # axes of an array of numpy
TYPES: dict[str, Any] = {
    **{"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16},
    **{"F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2, "C64": np.complex64, "BOOL": np.bool_},
    **{f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}


def read_tensors(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns the tensors of a file by name, and its metadata.

    Raises OSError for a file that cannot be read, and ValueError, with the name of the tensor, for one that is not
    whole or in order.
    """
    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, HEADER_LIMIT):
            raise ValueError(f"its header must fit into the file, which has {size:,} bytes, got {length:,}")
        header = from_json(file.read(length))
        if not isinstance(header, dict):
            raise ValueError(f"its header must be a JSON object, got {type(header).__name__}")
        metadata = header.pop("__metadata__", None) or {}
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("__metadata__ must have texts by names")
        places = {name: _place(name, entry, size - 8 - length) for name, entry in header.items()}
        _check_apart(places)
        tensors = {}
        for name, (dtype, shape, begin, end) in places.items():
            file.seek(8 + length + begin)
            tensors[name] = np.frombuffer(bytearray(file.read(end - begin)), dtype).reshape(shape)
    return tensors, metadata


def _place(name, entry, size):
    """The type, the shape and the bytes of a tensor."""
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise ValueError(f"{name} must have dtype, shape and data_offsets") from None
    if not isinstance(kind, str) or kind not in TYPES:
        raise ValueError(f"{name} must have one of the types {', '.join(TYPES)}, got {kind!r:.40}")
    if not isinstance(shape, list) or len(shape) > LONGEST or not all(map(_is_size, (*shape, begin, end))):
        raise ValueError(f"{name} must have whole numbers as shape and data_offsets")
    dtype = np.dtype(TYPES[kind])
    needed = math.prod(shape) * dtype.itemsize
    if end > size or end - begin != needed:
        raise ValueError(f"{name} must have {needed:,} bytes in the file, got those from {begin:,} to {end:,}")
    return dtype, shape, begin, end


def _check_apart(places):
    """Raises ValueError for tensors that share bytes: many of them could claim more memory than the file has."""
    last, other = 0, ""
    for name, (*_, begin, end) in sorted(places.items(), key=lambda item: item[1][2:]):
        if end > begin and begin < last:
            raise ValueError(f"{name} must have bytes of its own, got those of {other}")
        last, other = max(last, end), name


def _is_size(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
