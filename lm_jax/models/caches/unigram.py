"""The cache model of Kuhn & De Mori 1990: a word that was used lately is likely to be used again.

With x_t the token read last, x_{t-a} that of age a, and c the last `size` tokens, each counted less the older it is
(Clarkson & Robinson 1997; not less without decay):

    c_t(w) = sum over ages a < size of 1[x_{t-a} = w] exp(-decay a)               n_t = sum_w c_t(w)
    P(w | x_0 .. x_t) = (c_t(w) + k / V) / (n_t + k)

The pseudo-count k is spread evenly over the vocabulary: with nothing read the model is uniform, and it is a proper
distribution from the first token on. It is made to be mixed with others (lm_jax/models/interpolation.py).
"""

import math

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.errors import UserError, check_sizes
from lm_jax.models.caches.past import EMPTY, look_back, sum_by_word
from lm_jax.models.language_model import LanguageModel, masked_log_probs, step_of


@struct.dataclass
class UnigramCacheParams:
    """log_pseudo_count: log k. decay: per token of age, 0 for none."""

    log_pseudo_count: Float[Array, ""]
    decay: Float[Array, ""]


@cached
def unigram_cache(vocab_size: int, size: int = 2000, *, pseudo_count: float = 1.0, decay: float = 0.0) -> LanguageModel:
    """Makes the model of the last `size` tokens. Its carry is these tokens, int32 [*B, size], oldest first.

    It is deterministic: keys are ignored.

    Args:
        vocab_size: V, vocabulary entries.
        size: number of tokens that are remembered.
        pseudo_count: k, spread evenly over the vocabulary; `init` gives it as a parameter.
        decay: decay of a count with its age; `init` gives it as a parameter.

    Returns:
        The language model.

    Raises:
        UserError: for sizes below 1, a pseudo-count that is not above 0 or a decay below 0.
    """
    check_sizes(vocab_size=vocab_size, size=size)
    if not 0 < pseudo_count < math.inf:
        raise UserError(f"pseudo_count must be above 0, got {pseudo_count!r}")
    if not 0 <= decay < math.inf:
        raise UserError(f"decay must be at least 0, got {decay!r}")

    def init(key):
        del key
        return UnigramCacheParams(jnp.asarray(math.log(pseudo_count), jnp.float32), jnp.asarray(decay, jnp.float32))

    def initial_carry(params, batch_shape):
        del params
        return jnp.full((*batch_shape, size), EMPTY, jnp.int32)

    def count(params, carry, tokens, mask, reset):
        past = look_back(carry, tokens, mask, reset)
        weights = jnp.exp(-params.decay * past.age)
        return past, jnp.where((past.age >= 0) & (past.age < size), weights, 0.0)

    def unroll(params, carry, tokens, *, mask=None, reset=None, key=None):
        del key
        past, weights = count(params, carry, tokens, mask, reset)
        counts = sum_by_word(weights, past.tokens, vocab_size)
        return past.window(past.tokens, EMPTY), log_prob(params, counts, weights.sum(-1)[..., None])

    def score(params, carry, inputs, targets, *, mask=None, reset=None, key=None):
        del key
        past, weights = count(params, carry, inputs, mask, reset)
        counts = jnp.where(past.tokens == targets[..., None], weights, 0.0).sum(-1)
        result = log_prob(params, counts, weights.sum(-1))
        return past.window(past.tokens, EMPTY), masked_log_probs(result, mask)

    def log_prob(params, counts, total):
        k = jnp.exp(params.log_pseudo_count)
        return jnp.log(counts + k / vocab_size) - jnp.log(total + k)

    return LanguageModel(init, initial_carry, step_of(unroll), unroll, score, vocab_size)
