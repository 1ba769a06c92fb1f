"""Chunks of text as a batch source: truncated backpropagation through time over parallel streams."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.cells.base import select
from lm_jax.data.batching import Batches
from lm_jax.data.pieces import Pieces
from lm_jax.models.language_model import LanguageModel
from lm_jax.training.batch_source import BatchSource
from lm_jax.training.losses import Chunk
from lm_jax.types import Carry, Params


def chunk_source(
    model: LanguageModel,
    batch_size: int,
    bptt: int,
    steps_per_epoch: int,
    *,
    mode: str = "stream",
    eol_id: int = 0,
) -> BatchSource:
    """Makes a batch source of `Chunk`s, for epochs that are given to the training steps as `Streams`.

    In stream mode the carry runs on and is reset where an epoch starts, in sentence mode at every line.

    Args:
        model: whose carry runs on from chunk to chunk.
        batch_size: B, the streams.
        bptt: T, the usual time steps of a chunk.
        steps_per_epoch: chunks in one pass.
        mode: "stream" or "sentence".
        eol_id: the end-of-line token.
    """

    def initial_carry(params):
        return model.initial_carry(params, (batch_size,))

    def no_epoch(number):
        raise NotImplementedError(f"the streams of epoch {number} are given by whoever calls the training steps")

    return BatchSource(
        steps_per_epoch=steps_per_epoch,
        epoch=no_epoch,
        batch=_chunk_fn(model.initial_carry, mode, eol_id),
        lengths=lambda number: np.full(steps_per_epoch, bptt),
        usual_length=bptt,
        targets_per_epoch=batch_size * bptt * steps_per_epoch,
        initial_carry=initial_carry,
    )


def text_source(batches: Batches, model: LanguageModel, device_tokens: int | None = None) -> BatchSource:
    """Makes the batch source of a text: the chunks of its streams, epoch by epoch, or piece by piece.

    Args:
        batches: the text, cut into streams and chunks.
        model: whose carry runs on from chunk to chunk.
        device_tokens: tokens on the devices at a time; None for those of a whole epoch.
    """
    plain = chunk_source(
        model,
        batches.batch_size,
        batches.bptt,
        batches.steps_per_epoch,
        mode=batches.mode,
        eol_id=batches.eol_id,
    )
    text = plain._replace(epoch=batches.epoch, lengths=batches.chunk_lengths, targets_per_epoch=len(batches.tokens))
    if device_tokens is None:
        return text
    batch = _chunk_fn(model.initial_carry, batches.mode, batches.eol_id, lambda piece: piece.offset)
    return text._replace(batch=batch, piece=Pieces(batches, device_tokens).at)


def _whole(epoch):
    """The row of its pass that an epoch begins with."""
    return 0


def _chunk_fn(
    initial_carry: Callable[[Params, tuple[int, ...]], Carry],
    mode: str,
    eol_id: int,
    first_row: Callable[[Any], Any] = _whole,
):
    def batch(params, epoch, carry, start, length):
        rows = jax.lax.dynamic_slice_in_dim(epoch.tokens, start - first_row(epoch), length + 1)
        inputs, targets = rows[:-1], rows[1:]
        mask = (start + jnp.arange(length))[:, None] < epoch.lengths
        if mode == "sentence":
            return carry, Chunk(inputs, targets, mask, inputs == eol_id)
        # A carried stream is reset only where the epoch starts: outside the loop over time.
        initial = initial_carry(params, inputs.shape[1:])
        carry = select(jnp.broadcast_to(start == 0, inputs.shape[1:]), initial, carry)
        return carry, Chunk(inputs, targets, mask, None)

    return batch
