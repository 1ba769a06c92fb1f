"""The tables of an n-gram model on disk: one .npz file of plain arrays, read and written without JAX."""

import zipfile
from pathlib import Path

import numpy as np

from lm_jax.errors import UserError
from lm_jax.models.ngram.tables import BackoffParams


def save_tables(path: Path, params: BackoffParams) -> None:
    """Writes words_1, words_2, .. log_prob_1, .. log_backoff_1, .. child_start_1, .. and log_missing."""
    arrays = {
        f"{name}_{k}": array
        for name in ("words", "log_prob", "log_backoff", "child_start")
        for k, array in enumerate(getattr(params, name), 1)
    }
    np.savez(path, log_missing=params.log_missing, **arrays)


def load_tables(path: Path) -> BackoffParams:
    """Reads what `save_tables` wrote; raises UserError for anything else."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            order = sum(name.startswith("words_") for name in arrays.files)

            def of(name, last):
                return tuple(arrays[f"{name}_{k}"] for k in range(1, last + 1))

            return BackoffParams(
                words=of("words", order),
                log_prob=of("log_prob", order),
                log_backoff=of("log_backoff", order - 1),
                child_start=of("child_start", order - 1),
                log_missing=arrays["log_missing"][()],
            )
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"the tables of an n-gram model must be readable, got {path}: {error}") from error
