"""Ids of tokens as a caller gives them, checked against the vocabulary of a model."""

from typing import Any

import numpy as np

from lm_jax.errors import UserError


def checked_ids(tokens: Any, vocab_size: int) -> np.ndarray:
    """Returns ids as int32 [N]; on a device an id outside the vocabulary would be read as another one in silence.

    Raises UserError for what is no list of ids from 0 to V - 1.
    """
    ids = np.asarray(tokens)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        raise UserError(f"a text is a string or a list of ids, got {tokens!r:.80}")
    if ids.size and not 0 <= ids.min() <= ids.max() < vocab_size:
        raise UserError(f"ids must be from 0 to {vocab_size - 1:,}, got {ids.min():,} to {ids.max():,}")
    return ids.astype(np.int32, copy=False)
