"""Excerpts of equal length from all over a text, for measurements of a model."""

import numpy as np

from lm_jax.data.batching import cut_streams


def cut_texts(tokens: np.ndarray, eol_id: int, mode: str, texts: int, length: int) -> tuple[np.ndarray, int]:
    """Cuts texts [W + T + 1, B] out of a long one, each after an end of line; W tokens of them are only read.

    Args:
        tokens: ids int [N].
        eol_id: the end-of-line token.
        mode: "stream", or "sentence", where the texts are the longest lines, if half as long as wanted or as the
            longest.
        texts: B as it is wanted; less where there is not that much.
        length: T as it is wanted; less where there is not that much.

    Returns:
        The texts, and W: up to T, 0 in sentence mode.
    """
    if mode == "sentence":
        lines = np.split(tokens, np.flatnonzero(tokens == eol_id) + 1)
        length = min(length, max(map(len, lines)))
        lines = sorted((line for line in lines if 2 * len(line) >= length), key=len, reverse=True)[:texts]
        length = min(length, len(lines[-1]))
        return np.stack([np.append(eol_id, line[:length]) for line in lines], axis=1), 0
    texts = max(1, min(texts, len(tokens) // length))
    part = len(tokens) // texts
    length = min(length, part)
    warm_up = min(length, part - length)
    return cut_streams(tokens, texts, eol_id).tokens[: warm_up + length + 1], warm_up
