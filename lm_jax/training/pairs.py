"""Batches of sentence pairs as a batch source, and the loss of a translator on them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lm_jax.data.pair_buckets import PairBuckets, lay_out_pairs
from lm_jax.models.translator import Translator, teacher_forced
from lm_jax.training.batch_source import BatchSource
from lm_jax.training.losses import Chunk, LossFn, scheduled_sampling, smoothed_cross_entropy
from lm_jax.types import Mask, Tokens


class Pairs(NamedTuple):
    """B pairs on the device: source [S, B], or frames [S, B, F], and its mask (False is padding); target, the chunk
    [T, B] of its language model, which begins with the end-of-line token."""

    source: Array
    source_mask: Mask
    target: Chunk


def pair_source(
    buckets: PairBuckets, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], eol_id: int
) -> BatchSource:
    """Makes the batch source of sentence pairs.

    Args:
        buckets: of the sentences' lengths.
        sources: ids of each source, int [S_n].
        targets: ids of each target with its end, int [T_n].
        eol_id: the end of a target, and its first input.
    """

    def epoch(number):
        return lay_out_pairs(buckets.epoch(number), buckets.source_rows, sources, targets)

    def batch(params, epoch, carry, start, length):
        return carry, as_pairs(jax.lax.dynamic_slice_in_dim(epoch, start, length), buckets.source_rows[length], eol_id)

    return BatchSource(
        steps_per_epoch=buckets.steps_per_epoch,
        epoch=epoch,
        batch=batch,
        lengths=buckets.chunk_lengths,
        usual_length=None,
        targets_per_epoch=sum(map(len, targets)),
    )


def as_pairs(rows: Tokens, source_rows: int, eol_id: int) -> Pairs:
    """Makes a batch of padded ids [S + T, B], in which -1 is padding.

    Args:
        rows: Ids, the S rows of sources first.
        source_rows: S.
        eol_id: Id of the end-of-line token, the decoder's first input.
    """
    source, target = rows[:source_rows], teacher_forced(rows[source_rows:], eol_id)
    return Pairs(jnp.maximum(source, 0), source >= 0, Chunk(*target, None))


def translation_loss(model: Translator, label_smoothing: float = 0.0, sampling: float = 0.0) -> LossFn:
    """Makes the cross-entropy of targets under teacher forcing, per target token.

    Args:
        model: the translator.
        label_smoothing: see `smoothed_cross_entropy`.
        sampling: share of the inputs that are the model's own predictions instead; see `scheduled_sampling`.
    """
    of_target = smoothed_cross_entropy(model.decoder, label_smoothing)
    if sampling:
        of_target = scheduled_sampling(of_target, model.decoder, sampling)

    def loss(params, carry, batch, key, whole=None):
        key_source, key = jax.random.split(key)
        conditioned = model.condition(params, batch.source, mask=batch.source_mask, key=key_source)
        start = model.decoder.initial_carry(conditioned, batch.source_mask.shape[1:])
        value, (_, tally) = of_target(conditioned, start, batch.target, key, None if whole is None else whole.target)
        return value, (carry, tally)

    return loss
