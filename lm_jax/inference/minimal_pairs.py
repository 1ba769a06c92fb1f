"""Minimal pairs (Linzen et al. 2016; Warstadt et al. 2020): is the good sentence more probable than the bad one?

Each sentence is scored alone, as a line with its end. A tie counts as half a success.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lm_jax.inference.likelihood import line_sums, token_log_probs
from lm_jax.models.language_model import LanguageModel
from lm_jax.types import Params


STREAMS = 32


class Accuracy(NamedTuple):
    """Share of pairs judged right, with the Wilson score interval (95 %), and the number of pairs."""

    accuracy: float
    low: float
    high: float
    pairs: int


def judge_pairs(
    model: LanguageModel, params: Params, good: Sequence[np.ndarray], bad: Sequence[np.ndarray], eol_id: int
) -> np.ndarray:
    """Computes log P(good) - log P(bad) for pairs of sentences.

    Args:
        model: any language model.
        params: its parameters.
        good: ids of the better sentence of each pair, ending with eol_id.
        bad: ids of the worse one.
        eol_id: the end-of-line token.

    Returns:
        Nats, float64 [pairs].
    """
    tokens = np.concatenate([*good, *bad])
    log_probs = token_log_probs(model, params, tokens, eol_id, eval_streams=STREAMS, mode="sentence")
    sums, _ = line_sums(log_probs, tokens, eol_id)
    first, second = sums[: len(good)], sums[len(good) :]
    with np.errstate(invalid="ignore"):
        return np.where(first == second, 0.0, first - second)  # also where both are impossible, -inf


def accuracy(differences: np.ndarray) -> Accuracy:
    """Returns the accuracy of judgements, ties counted as half (Wilson 1927 for the interval)."""
    pairs = len(differences)
    share = float(np.mean((differences > 0) + 0.5 * (differences == 0)))
    z = 1.959964
    centre = (share + z**2 / (2 * pairs)) / (1 + z**2 / pairs)
    margin = z / (1 + z**2 / pairs) * math.sqrt(share * (1 - share) / pairs + z**2 / (4 * pairs**2))
    return Accuracy(share, max(0.0, centre - margin), min(1.0, centre + margin), pairs)
