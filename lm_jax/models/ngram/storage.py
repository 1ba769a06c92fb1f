"""The tables of an n-gram model on disk: one .npz file of plain arrays, read and written without JAX."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from lm_jax.data.mapped_archive import save_arrays
from lm_jax.errors import UserError
from lm_jax.files import replacing
from lm_jax.input_files import open_regular
from lm_jax.models.ngram.tables import BackoffParams


BLOCK = 1 << 20
ENCRYPTED = 1  # a bit of an archive's flags
KINDS = {"words": "i", "log_prob": "f", "log_backoff": "f", "child_start": "i"}


def save_tables(path: Path, params: BackoffParams) -> None:
    """Writes words_1, words_2, .. log_prob_1, .. log_backoff_1, .. child_start_1, .. and log_missing."""
    arrays = {
        f"{name}_{k}": array
        for name in ("words", "log_prob", "log_backoff", "child_start")
        for k, array in enumerate(getattr(params, name), 1)
    }
    with replacing(path, lasting=True) as file:
        save_arrays(file, {"log_missing": params.log_missing, **arrays})


def load_tables(path: Path, vocab_size: int) -> BackoffParams:
    """Reads what `save_tables` wrote for a vocabulary of this size; raises UserError for anything else."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            order = sum(name.startswith("words_") for name in members)
            # an array of another name may be one of these that was damaged: without it there would be an order less
            others = members.keys() - {"log_missing"} - {f"{name}_{k + 1}" for name in KINDS for k in range(order)}
            if others:
                raise ValueError(f"it has an array {min(others)[:30]!r}, which no tables have")

            def of(name, last):
                return tuple(_read_array(archive, members[f"{name}_{k}"], KINDS[name]) for k in range(1, last + 1))

            params = BackoffParams(
                words=of("words", order),
                log_prob=of("log_prob", order),
                log_backoff=of("log_backoff", order - 1),
                child_start=of("child_start", order - 1),
                log_missing=_read_array(archive, members["log_missing"], "f", axes=0)[()],
            )
    except Exception as error:  # of many types: no archive, an encrypted or an odd one, no array of NumPy, ...
        reason = f"no {error}" if isinstance(error, KeyError) else getattr(error, "strerror", None) or error
        raise UserError(f"the tables of an n-gram model must be readable, got {path}: {reason}") from error
    fault = _fault(params, vocab_size)
    if fault:
        raise UserError(f"the tables of an n-gram model must fit together, got {path}: {fault}")
    return params


def _read_array(archive, info, kind, axes=1):
    """Reads an array whose sizes are checked before any memory is taken: `savez` stores arrays as they are."""
    name = info.filename
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & ENCRYPTED:
        raise ValueError(f"{name} is compressed or encrypted")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"{name} is of another version of the format")
        shape, fortran, dtype = read(file)
        if dtype.kind != kind or dtype.itemsize not in (4, 8) or len(shape) != axes or fortran:
            raise ValueError(f"{name} is no such array, but {dtype} of the shape {shape}")
        size = dtype.itemsize * math.prod(shape)
        if size > info.file_size:
            raise ValueError(f"{name} promises {size:,} bytes in {info.file_size:,}")
        content: Any = np.empty(size, np.uint8)
        done, view = 0, memoryview(content)
        while done < size and (read_now := file.readinto(view[done : done + BLOCK])):
            done += read_now
        if done != size or file.read(1):  # the end, where its checksum is compared
            raise ValueError(f"{name} does not have the {size:,} bytes that it promises")
    return content.view(dtype).reshape(shape)


def _fault(params, vocab_size):
    """Returns what is wrong with tables, or None."""
    if not params.words or not np.array_equal(params.words[0], np.arange(vocab_size)):
        return f"the unigrams are not the {vocab_size:,} entries of the vocabulary"
    for k, words in enumerate(params.words, 1):
        if np.shape(params.log_prob[k - 1]) != np.shape(words) or not (params.log_prob[k - 1] < np.inf).all():
            return f"the {k}-grams have no number each"
        if k == params.order:
            break
        backoff, start = params.log_backoff[k - 1], params.child_start[k - 1]
        if np.shape(backoff) != np.shape(words) or not (backoff < np.inf).all():
            return f"the {k}-grams have no back-off weight each"
        if np.shape(start) != (len(words) + 1,) or start[0] != 0 or (np.diff(start) < 0).any():
            return f"the {k}-grams have no range of longer n-grams each"
        if start[-1] > len(params.words[k]):
            return f"there are fewer {k + 1}-grams than the {k}-grams point to"
        if _unsorted(params.words[k][: start[-1]], start, vocab_size):
            return f"the {k + 1}-grams are not words of the vocabulary, each once and in their order"
    return None if params.log_missing < np.inf else "an absent context has no weight"


def _unsorted(words, start, vocab_size):
    """Whether rows that are searched by halving are not where they would be found."""
    if not len(words):
        return False
    first = np.zeros(len(words), bool)
    first[start[:-1][start[:-1] < len(words)]] = True
    falls = (np.diff(words) <= 0) & ~first[1:]
    return words.min() < 0 or words.max() >= vocab_size or falls.any()
