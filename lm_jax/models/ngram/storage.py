"""The tables of an n-gram model on disk: one .npz file of plain arrays, read and written without JAX."""

import zipfile
from pathlib import Path

import numpy as np

from lm_jax.errors import UserError
from lm_jax.files import replacing
from lm_jax.models.ngram.tables import BackoffParams


def save_tables(path: Path, params: BackoffParams) -> None:
    """Writes words_1, words_2, .. log_prob_1, .. log_backoff_1, .. child_start_1, .. and log_missing."""
    arrays = {
        f"{name}_{k}": array
        for name in ("words", "log_prob", "log_backoff", "child_start")
        for k, array in enumerate(getattr(params, name), 1)
    }
    with replacing(path, lasting=True) as file:
        np.savez(file, log_missing=params.log_missing, **arrays)


def load_tables(path: Path, vocab_size: int) -> BackoffParams:
    """Reads what `save_tables` wrote for a vocabulary of this size; raises UserError for anything else."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            order = sum(name.startswith("words_") for name in arrays.files)

            def of(name, last):
                return tuple(arrays[f"{name}_{k}"] for k in range(1, last + 1))

            params = BackoffParams(
                words=of("words", order),
                log_prob=of("log_prob", order),
                log_backoff=of("log_backoff", order - 1),
                child_start=of("child_start", order - 1),
                log_missing=arrays["log_missing"][()],
            )
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"the tables of an n-gram model must be readable, got {path}: {error}") from error
    fault = _fault(params, vocab_size)
    if fault:
        raise UserError(f"the tables of an n-gram model must fit together, got {path}: {fault}")
    return params


def _fault(params, vocab_size):
    """Returns what is wrong with tables, or None."""
    if not params.words or not np.array_equal(params.words[0], np.arange(vocab_size)):
        return f"the unigrams are not the {vocab_size:,} entries of the vocabulary"
    for k, words in enumerate(params.words, 1):
        if np.shape(params.log_prob[k - 1]) != np.shape(words) or np.isnan(params.log_prob[k - 1]).any():
            return f"the {k}-grams have no number each"
        if k == params.order:
            return None
        backoff, start = params.log_backoff[k - 1], params.child_start[k - 1]
        if np.shape(backoff) != np.shape(words) or np.isnan(backoff).any():
            return f"the {k}-grams have no back-off weight each"
        if np.shape(start) != (len(words) + 1,) or start[0] != 0 or (np.diff(start) < 0).any():
            return f"the {k}-grams have no range of longer n-grams each"
        if start[-1] > len(params.words[k]):
            return f"there are fewer {k + 1}-grams than the {k}-grams point to"
    return None
