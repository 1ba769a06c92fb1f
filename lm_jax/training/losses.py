"""The loss of a chunk: teacher forcing, the mean over real tokens of -log P(target | the true past), in nats."""

from typing import NamedTuple, Protocol

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lm_jax.models.language_model import LanguageModel
from lm_jax.types import Carry, Key, Mask, Params, Tokens


class Chunk(NamedTuple):
    """T steps of the streams on the device: inputs, targets [T, B], mask [T, B], reset [T, B] or None for no reset."""

    inputs: Tokens
    targets: Tokens
    mask: Mask
    reset: Mask | None


class Tally(NamedTuple):
    """Sums that cross-entropy is made of: nll in nats, and the number of tokens."""

    nll: Float[Array, ""]
    tokens: Int[Array, ""]


class LossFn(Protocol):
    """The quantity that is minimised, and what comes out on the way."""

    def __call__(self, params: Params, carry: Carry, chunk: Chunk, key: Key) -> tuple[Array, tuple[Carry, Tally]]: ...


def cross_entropy(model: LanguageModel) -> LossFn:
    """The cross-entropy of a chunk under teacher forcing; the carry goes in and out, and no gradient flows into it."""

    def loss(params, carry, chunk, key):
        # Without resets a row is padded only after its last token of the epoch, so its carry needs no mask.
        mask = None if chunk.reset is None else chunk.mask
        carry, log_probs = model.score(
            params, carry, chunk.inputs, chunk.targets, mask=mask, reset=chunk.reset, key=key
        )
        nll = -jnp.sum(jnp.where(chunk.mask, log_probs, 0.0))
        tokens = jnp.sum(chunk.mask)
        return nll / jnp.maximum(tokens, 1), (carry, Tally(nll, tokens))

    return loss
