"""The loss of a chunk: the mean over real tokens of -log P(target | past) in nats, and what may be added to it.

The past is the true one (teacher forcing), or in part the model's own (scheduled sampling).
"""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lm_jax.errors import UserError
from lm_jax.inference.sampling import draw
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


class Sizes(NamedTuple):
    """What the means of a loss are over: real tokens, and pairs of real steps that follow each other in a row."""

    tokens: Int[Array, ""]
    pairs: Int[Array, ""]


def sizes_of(chunk: Chunk) -> Sizes:
    """The sizes of a chunk, at least 1."""
    return Sizes(jnp.maximum(jnp.sum(chunk.mask), 1), jnp.maximum(jnp.sum(_joined(chunk)), 1))


class LossFn(Protocol):
    """Computes the loss to minimise, the next carry, and a tally: (loss, (carry, tally)).

    The loss of a part of a batch is its share of the loss of the `whole`, so that the parts add up to it; None means
    that the batch is whole. Batches are what the batch source makes, for texts a `Chunk`.
    """

    def __call__(
        self, params: Params, carry: Carry, batch: Any, key: Key, whole: Any = None, /
    ) -> tuple[Array, tuple[Carry, Tally]]: ...


def cross_entropy(model: LanguageModel) -> LossFn:
    """The cross-entropy of a chunk under teacher forcing; the carry goes in and out, and no gradient flows into it."""

    def loss(params, carry, chunk, key, whole=None):
        carry, log_probs = model.score(
            params, carry, chunk.inputs, chunk.targets, mask=_carry_mask(chunk), reset=chunk.reset, key=key
        )
        tally = _tally(log_probs, chunk)
        return tally.nll / sizes_of(chunk if whole is None else whole).tokens, (carry, tally)

    return loss


def smoothed_cross_entropy(model: LanguageModel, label_smoothing: float) -> LossFn:
    """Cross-entropy against targets that are in part uniform (Szegedy et al. 2016, section 7).

        (1 - eps) J + eps mean over tokens of (1/V) sum_v -log P(v | past)        eps: label_smoothing

    The tally is of J alone.
    """
    if not label_smoothing:
        return cross_entropy(model)

    def loss(params, carry, chunk, key, whole=None):
        carry, logits = model.unroll(params, carry, chunk.inputs, mask=_carry_mask(chunk), reset=chunk.reset, key=key)
        total = jax.nn.logsumexp(logits, axis=-1)
        right = jnp.take_along_axis(logits, chunk.targets[..., None], axis=-1)[..., 0] - total
        uniform = jnp.sum(jnp.where(chunk.mask, total - jnp.mean(logits, axis=-1), 0.0))
        tally = _tally(right, chunk)
        value = (1 - label_smoothing) * tally.nll + label_smoothing * uniform
        return value / sizes_of(chunk if whole is None else whole).tokens, (carry, tally)

    return loss


def regularised_cross_entropy(model: LanguageModel, activation_reg: float, temporal_reg: float) -> LossFn:
    """Cross-entropy with penalties on the top layer's outputs y (Merity et al. 2018, section 4.7).

        J + alpha mean(dropout(y)^2) + beta mean((y_t - y_{t-1})^2)

    The means are over real steps; differences across a reset do not count. The tally is of J alone.

    Args:
        model: A recurrent language model.
        activation_reg: alpha.
        temporal_reg: beta.

    Raises:
        UserError: For a model that is no recurrent network.
    """

    opened = model.opened
    if opened is None:
        raise UserError("penalties on outputs need a recurrent network, got another model")

    def loss(params, carry, chunk, key, whole=None):
        sizes = sizes_of(chunk if whole is None else whole)
        carry, ys, dropped = opened.hidden(
            params, carry, chunk.inputs, mask=_carry_mask(chunk), reset=chunk.reset, key=key
        )
        tally = _tally(opened.log_probs(params, dropped, chunk.targets), chunk)
        penalty = activation_reg * _mean_square(dropped, chunk.mask, sizes.tokens)
        penalty += temporal_reg * _mean_square(ys[1:] - ys[:-1], _joined(chunk), sizes.pairs)
        return tally.nll / sizes.tokens + penalty, (carry, tally)

    return loss


def scheduled_sampling(loss_fn: LossFn, model: LanguageModel, rate: float) -> LossFn:
    """Makes a loss whose inputs are, with probability `rate`, the model's own predictions instead of the true tokens.

    After Bengio et al. 2015, in the parallel form of Duckworth et al. 2019: the predictions are drawn from one pass
    over the true past, so that the second pass is an ordinary unroll. No gradient flows through the draws. The first
    input of a chunk, and of a line that starts with a reset, stays.

    Args:
        loss_fn: the loss on given inputs.
        model: the language model that predicts.
        rate: the probability.

    Returns:
        The loss.
    """

    def loss(params, carry, chunk, key, whole=None):
        key_draw, key_mix, key = jax.random.split(key, 3)
        _, logits = model.unroll(
            jax.lax.stop_gradient(params), carry, chunk.inputs, mask=_carry_mask(chunk), reset=chunk.reset
        )
        drawn = draw(key_draw, jax.nn.softmax(logits[:-1]))
        inputs = jnp.where(jax.random.bernoulli(key_mix, rate, drawn.shape), drawn, chunk.inputs[1:])
        if chunk.reset is not None:
            inputs = jnp.where(chunk.reset[1:], chunk.inputs[1:], inputs)
        return loss_fn(params, carry, chunk._replace(inputs=jnp.concatenate([chunk.inputs[:1], inputs])), key, whole)

    return loss


def _carry_mask(chunk):
    """Without resets a row is padded only after its last token of the epoch, so its carry needs no mask."""
    return None if chunk.reset is None else chunk.mask


def _tally(log_probs, chunk):
    return Tally(-jnp.sum(jnp.where(chunk.mask, log_probs, 0.0)), jnp.sum(chunk.mask))


def _joined(chunk):
    """Which steps but the first follow the one before in the same text."""
    return chunk.mask[1:] if chunk.reset is None else chunk.mask[1:] & ~chunk.reset[1:]


def _mean_square(values, mask, count):
    squares = jnp.where(mask[..., None], jnp.square(values), 0.0)
    return jnp.sum(squares) / (count * values.shape[-1])
