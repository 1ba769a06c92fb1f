"""The continuous cache of Grave, Joulin & Usunier 2017: words that followed states like the present one.

With h_t the top layer's output after reading x_t, without dropout, and i over the `size` steps before t, as far as the
carry was not reset:

    P_cache(w) is proportional to sum_i 1[x_{i+1} = w] exp(theta h_t . h_i)
    P(w | x_0 .. x_t) = (1 - lambda) P_model(w) + lambda P_cache(w)

Before there is anything in the cache P is P_model: all of the weight is on the model. theta flattens (0: a unigram
cache) or sharpens the cache; both are parameters, and a grid on held-out text finds them (`fit_cache`). Nothing else is
trained: any trained recurrent model can have a cache.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

from lm_jax.caching import cached
from lm_jax.errors import UserError, check_sizes
from lm_jax.models.caches.past import EMPTY, look_back, sum_by_word
from lm_jax.models.language_model import LanguageModel, masked_log_probs, step_of
from lm_jax.types import Carry, Params


@struct.dataclass
class ContinuousCacheParams:
    """The parameters of the model; theta; logit_weight = log(lambda / (1 - lambda)),
    so that lambda is always in (0, 1)."""

    model: Params
    theta: Float[Array, ""]
    logit_weight: Float[Array, ""]


class ContinuousCacheCarry(NamedTuple):
    """The model's carry, and the last steps, oldest first: the tokens read (EMPTY for none) and h after them."""

    model: Carry
    tokens: Int[Array, "*B W"]
    hidden: Float[Array, "*B W H"]


def continuous_cache_params(model_params: Params, theta: float = 0.3, weight: float = 0.1) -> ContinuousCacheParams:
    """Returns the parameters of a cache around a trained model.

    Args:
        model_params: the parameters of the model.
        theta: inverse temperature of the similarities.
        weight: lambda, the weight of the cache.

    Raises:
        UserError: for a weight outside [0, 1].
    """
    if not 0 <= weight <= 1:
        raise UserError(f"the weight of a cache must be in [0, 1], got {weight!r}")
    with np.errstate(divide="ignore"):
        logit = np.log(weight) - np.log1p(-weight)
    return ContinuousCacheParams(model_params, jnp.asarray(theta, jnp.float32), jnp.asarray(logit, jnp.float32))


@cached
def continuous_cache(model: LanguageModel, size: int = 2000) -> LanguageModel:
    """Makes a recurrent model with a cache of `size` steps. Raises UserError for a model that shows
    no hidden states."""
    check_sizes(size=size)
    if model.opened is None:
        raise UserError("a continuous cache needs a recurrent model, for its hidden states, got one without")
    opened = model.opened

    def init(key):
        return continuous_cache_params(model.init(key))

    def initial_carry(params, batch_shape):
        carry = model.initial_carry(params.model, batch_shape)
        tokens = jnp.zeros((1, *batch_shape), jnp.int32)
        _, ys, _ = jax.eval_shape(lambda p, c: opened.hidden(p, c, tokens), params.model, carry)
        hidden = jnp.zeros((*batch_shape, size, ys.shape[-1]), ys.dtype)
        return ContinuousCacheCarry(carry, jnp.full((*batch_shape, size), EMPTY, jnp.int32), hidden)

    def attend(params, carry, tokens, mask, reset, key):
        model_carry, ys, dropped = opened.hidden(params.model, carry.model, tokens, mask=mask, reset=reset, key=key)
        past = look_back(carry.tokens, tokens, mask, reset)
        hidden = jnp.concatenate([carry.hidden, jnp.moveaxis(ys, 0, -2)], axis=-2)
        similarity = params.theta * jnp.einsum("t...h,...jh->t...j", ys, hidden)
        attention = masked_softmax(similarity, (past.age >= 1) & (past.age <= size))
        carry = ContinuousCacheCarry(model_carry, past.window(past.tokens, EMPTY), past.window(hidden, 0.0))
        return carry, dropped, attention, past.following

    def unroll(params, carry, tokens, *, mask=None, reset=None, key=None):
        carry, ys, attention, following = attend(params, carry, tokens, mask, reset, key)

        log_probs = jax.nn.log_softmax(opened.logits(params.model, ys))
        cached = sum_by_word(attention, following, model.vocab_size)
        return carry, interpolate(params.logit_weight, log_probs, cached, attention.any(-1)[..., None])

    def score(params, carry, inputs, targets, *, mask=None, reset=None, key=None):
        carry, ys, attention, following = attend(params, carry, inputs, mask, reset, key)
        cached = jnp.where(following == targets[..., None], attention, 0.0).sum(-1)
        log_probs = opened.log_probs(params.model, ys, targets)
        result = interpolate(params.logit_weight, log_probs, cached, attention.any(-1))
        return carry, masked_log_probs(result, mask)

    return LanguageModel(init, initial_carry, step_of(unroll), unroll, score, model.vocab_size)


def masked_softmax(logits: Float[Array, "*N J"], seen: Array) -> Float[Array, "*N J"]:
    """Returns the softmax over the entries that are seen, 0 at the others; all 0, and no NaN, where none is."""
    top = jnp.max(logits, axis=-1, keepdims=True, where=seen, initial=-jnp.inf)
    top = jax.lax.stop_gradient(jnp.where(jnp.isfinite(top), top, 0.0))
    weights = jnp.where(seen, jnp.exp(jnp.where(seen, logits - top, 0.0)), 0.0)
    total = weights.sum(-1, keepdims=True)
    return weights / jnp.where(total > 0, total, 1.0)


def interpolate(logit_weight: Array, log_probs: Array, cached: Array, filled: Array) -> Array:
    """Returns the log of (1 - lambda) exp(log_probs) + lambda cached where the cache is filled, else log_probs.

    Of `cached` no logarithm is taken where it is 0: nor is the gradient NaN there.

    Args:
        logit_weight: log(lambda / (1 - lambda)), a scalar.
        log_probs: log P of the model.
        cached: The probabilities of the cache, of the same shape.
        filled: True where the cache holds something.
    """
    model_share = jax.nn.log_sigmoid(-logit_weight) + log_probs
    some = cached > 0
    cache_share = jax.nn.log_sigmoid(logit_weight) + jnp.log(jnp.where(some, cached, 1.0))
    both = jnp.where(some, jnp.logaddexp(model_share, cache_share), model_share)
    return jnp.where(filled, both, log_probs)
