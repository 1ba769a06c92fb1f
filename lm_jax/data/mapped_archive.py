"""Archives of arrays as numpy has them, without compression, written and mapped block by block: large arrays never fill
the memory."""

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lm_jax.mapped import blocks


LOCAL_HEADER, PIECE = struct.Struct("<26xHH"), 2**24  # of zip: 26 bytes, then the lengths of name and extra field


def save_arrays(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes what `np.savez` writes, without more of a mapped array in memory than a block.

    Args:
        file: open for writing.
        arrays: by name.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            values = np.asanyarray(array)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = np.lib.format.header_data_from_array_1_0(values)
                np.lib.format.write_array_header_1_0(member, header)
                for block in blocks(values) if values.ndim else [values]:
                    member.write(np.ascontiguousarray(block).tobytes())


def map_arrays(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of `np.savez` by name, read-only, each checked against the sum that the archive has of it.

    Args:
        path: of the archive.

    Raises:
        ValueError: for a compressed archive, and for what is no array.
        zipfile.BadZipFile: for damage.
    """
    found = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{member.filename} is compressed, and cannot be mapped")
            with archive.open(member) as stream:
                while stream.read(PIECE):  # at its end the sum is compared
                    pass
            file.seek(member.header_offset)
            skipped = sum(LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size)))
            file.seek(skipped, 1)
            found[member.filename.removesuffix(".npy")] = _mapped(path, file)
    return found


def _mapped(path, file):
    """The array whose description begins here."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"an array's description has version {version}")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject or fortran:
        raise ValueError("an array of objects, or of another order, cannot be mapped")
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", file.tell(), shape)
