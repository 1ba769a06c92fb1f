"""Batches of labelled sentences as a batch source: independent of each other, of like length inside a batch."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.data.buckets import Buckets, lay_out
from lm_jax.training.batch_source import BatchSource
from lm_jax.types import Mask, Tokens


class Sentences(NamedTuple):
    """B sentences on the device: tokens [T, B], labels [T, B] (-1: none), mask [T, B] (False is padding).

    A label of a whole sentence stands at its first step.
    """

    tokens: Tokens
    labels: Tokens
    mask: Mask


class SentenceColumns(NamedTuple):
    """The sentences of an epoch, batch after batch along axis 0: tokens, labels int32 [N, B]; -1 is padding."""

    tokens: np.ndarray
    labels: np.ndarray


def sentence_source(buckets: Buckets, tokens: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> BatchSource:
    """Makes the batch source of sentences with labels.

    Args:
        buckets: of the sentences' lengths.
        tokens: ids of each sentence, int [T_n].
        labels: of each sentence, int [T_n], or [1] for one of the whole.
    """

    def epoch(number):
        bucketed = buckets.epoch(number)
        return SentenceColumns(lay_out(bucketed, tokens), lay_out(bucketed, labels))

    return BatchSource(
        steps_per_epoch=buckets.steps_per_epoch,
        epoch=epoch,
        batch=_slice,
        lengths=buckets.chunk_lengths,
        usual_length=None,
        targets_per_epoch=sum(map(len, labels)),
    )


def _slice(params, epoch, carry, start, length):
    tokens, labels = (jax.lax.dynamic_slice_in_dim(columns, start, length) for columns in epoch)
    return carry, as_sentences(tokens, labels)


def as_sentences(tokens: Tokens, labels: Tokens) -> Sentences:
    """Makes a batch of padded ids [T, B], in which -1 is padding."""
    return Sentences(jnp.maximum(tokens, 0), labels, tokens >= 0)
