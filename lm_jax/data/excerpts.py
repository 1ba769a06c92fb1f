"""Excerpts of one length from all over a long text: what a gradient is measured on."""

import numpy as np

from lm_jax.data.batching import cut_streams


def cut_texts(tokens: np.ndarray, eol_id: int, mode: str, texts: int, length: int) -> tuple[np.ndarray, int]:
    """Cuts texts of one length out of a long one, each with the tokens that stand before it.

    Args:
        tokens: The long text, ids [N].
        eol_id: What each text follows.
        mode: "stream" (the texts are equal parts) or "sentence" (they are the longest lines, if half as long as wanted
            or as the longest).
        texts: B, how many are wanted; where there is not that much, there are fewer.
        length: T, how many predictions each; fewer where there is not that much.

    Returns:
        The texts [W + T + 1, B], each after an end of line; and W, the tokens that are only read: up to T, 0 in
        sentence mode.
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
