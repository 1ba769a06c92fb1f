"""Encoded corpora stored on disk, under a name made of their content: a large text is encoded once."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lm_jax.cache_folder import cache_folder
from lm_jax.data.mapped_archive import map_arrays, save_arrays
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.files import replacing


MAPPED_FROM = 2**26  # bytes of tokens that are left on disk and read where they are used
FORMAT = 3  # part of every name: a change of tokenisation, or of the files, needs another number


def cached_encoding(
    key: dict, build: Callable[[], tuple[Vocabulary, dict[str, np.ndarray]]]
) -> tuple[Vocabulary, dict[str, np.ndarray]]:
    """Returns what `build` returns, from disk if it was built before under the same key (JSON: hashes and settings).

    A folder appears whole or not at all: it is written under another name and renamed. A folder that cannot be
    read, a disk that cannot be written, or a user without a home costs time and nothing else.
    """
    caches = cache_folder()
    if caches is None:
        return build()
    name = hashlib.sha256(json.dumps([FORMAT, key], sort_keys=True).encode()).hexdigest()[:32]
    folder = caches / "tokens" / name
    if folder.is_dir():
        try:
            return Vocabulary.load(folder / "vocabulary.json"), _read(folder / "tokens.npz")
        except Exception:  # damage shows in many ways: a file cut short, a wrong checksum, no JSON, ...
            shutil.rmtree(folder, ignore_errors=True)
    vocabulary, arrays = build()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}.", dir=folder.parent, ignore_cleanup_errors=True) as building:
            vocabulary.save(Path(building) / "vocabulary.json")
            with replacing(Path(building) / "tokens.npz") as file:
                save_arrays(file, arrays)
            os.rename(building, folder)  # refused where another process was first
        if sum(array.nbytes for array in arrays.values()) >= MAPPED_FROM:
            arrays = _read(folder / "tokens.npz")
    except OSError:
        pass
    return vocabulary, arrays


def _read(path):
    """The arrays of an entry: large ones as maps of the file, which later builders replace and never change."""
    if path.stat().st_size >= MAPPED_FROM:
        return map_arrays(path)
    with path.open("rb") as file, np.load(file) as arrays:
        return dict(arrays)
