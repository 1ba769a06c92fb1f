"""Ids of tokens as a caller gives them, checked against the vocabulary of a model."""

from typing import Any

import numpy as np

from lm_jax.errors import UserError


def checked_ids(ids: Any, vocab_size: int, name: str = "tokens") -> np.ndarray:
    """Returns ids as int32 [N]; on a device an id outside the vocabulary would be read as another one in silence.

    Args:
        ids: whole numbers [N]; none at all are ids too.
        vocab_size: V.
        name: of the argument, for messages.

    Raises:
        UserError: for a text, of which a model knows nothing, for numbers that are no ids, and for ids that are not
            from 0 to V - 1.
    """
    if isinstance(ids, str | bytes):
        got = f"the text {ids[:40]!r}; give vocabulary.encode(text), or ask a run: lm_jax.load(run)"
        raise UserError(f"{name} must be ids, got {got}", [name])
    array = np.asarray(ids)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise UserError(f"{name} must be ids, whole numbers in one row, got {array.dtype} {list(array.shape)}", [name])
    if array.size and not 0 <= array.min() <= array.max() < vocab_size:
        got = f"{array.min():,} to {array.max():,}"
        raise UserError(f"{name} must be ids from 0 to {vocab_size - 1:,}, got {got}", [name])
    return array.astype(np.int32, copy=False)
