"""Log-probabilities of the classes of many texts, in batches of like length."""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np

from lm_jax.data.buckets import in_order, lay_out
from lm_jax.models.classifier import Classifier
from lm_jax.types import Params


ROWS = 64  # texts of a batch


def class_log_probs(
    model: Classifier,
    params: Params,
    texts: Sequence[np.ndarray],
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Computes log P(class | text) of texts; padding changes nothing.

    Args:
        model: a classifier.
        params: its parameters.
        texts: ids int [T_n] of each text.
        progress: called with (batches done, batches in all).

    Returns:
        Nats, float32 [N, C].
    """
    batches = in_order(np.asarray([len(text) for text in texts]), ROWS)
    columns, start = lay_out(batches, texts), 0
    found = np.zeros((len(texts), model.classes), np.float32)
    for number, (rows, length) in enumerate(zip(batches.rows, batches.lengths, strict=True), 1):
        log_probs = _forward(model)(params, columns[start : start + length])
        found[rows[rows >= 0]] = np.asarray(log_probs)[rows >= 0]
        start += length
        if progress is not None:
            progress(number, len(batches.rows))
    return found


@functools.cache
def _forward(model):
    @jax.jit
    def log_probs(params, tokens):
        mask = tokens >= 0
        return jax.nn.log_softmax(model.logits(params, jax.numpy.maximum(tokens, 0), mask=mask))

    return log_probs
