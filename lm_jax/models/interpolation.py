"""Mixtures of language models (Jelinek & Mercer 1980): linear interpolation, the weights in the parameters.

    P(x_t | x_0 .. x_{t-1}) = sum_m w_m P_m(x_t | x_0 .. x_{t-1})              w = softmax(log_weights)

Anything that satisfies the contract can be mixed, mixtures too; each model keeps a carry of its own. Weights are
fitted on held-out text by EM (`fit_mixture` in lm_jax/inference/mixture_weights.py).
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.errors import UserError
from lm_jax.models.language_model import LanguageModel, masked_log_probs
from lm_jax.types import Params


@struct.dataclass
class MixtureParams:
    """log_weights [M], up to a constant that the softmax takes out; the parameters of each model, in a tuple."""

    log_weights: Float[Array, "M"]
    models: tuple[Params, ...]


def mixture_params(weights: Sequence[float] | np.ndarray, models_params: Sequence[Params]) -> MixtureParams:
    """Returns the parameters of a mixture: weights [M], and the parameters of its models in the same order.

    Raises UserError for weights that are negative or do not sum to one, or a number of them that is not that of models.
    """
    given = np.asarray(weights, np.float64)
    if given.shape != (len(models_params),):
        raise UserError(f"a mixture of {len(models_params)} models needs one weight for each, got {given.tolist()}")
    if not (np.all(given >= 0) and math.isclose(given.sum(), 1, abs_tol=1e-6)):
        raise UserError(f"the weights of a mixture must be at least 0 and sum to one, got {given.tolist()}")
    with np.errstate(divide="ignore"):
        log_weights = jnp.asarray(np.log(given), jnp.float32)
    return MixtureParams(log_weights, tuple(jax.tree.map(jnp.asarray, params) for params in models_params))


@cached
def mixture(models: Sequence[LanguageModel]) -> LanguageModel:
    """Makes the mixture of models over one vocabulary; `init` gives equal weights.

    Raises UserError for no models, or for vocabularies of different sizes.
    """
    sizes = [model.vocab_size for model in models]
    if len(set(sizes)) != 1:
        raise UserError(f"the models of a mixture must share one vocabulary, got {sizes or 'no models'}")

    unrolls, scores = [model.unroll for model in models], [model.score for model in models]

    def each(functions, params, carry, *arguments, key, **switches):
        """Calls a function of every model, each with the model's own parameters, carry and key."""
        keys = [None] * len(models) if key is None else jax.random.split(key, len(models))
        results = [
            function(model_params, before, *arguments, key=model_key, **switches)
            for function, model_params, before, model_key in zip(functions, params.models, carry, keys, strict=True)
        ]
        carries, values = zip(*results, strict=True)
        return carries, values

    def init(key):
        keys = jax.random.split(key, len(models))
        models_params = tuple(model.init(model_key) for model, model_key in zip(models, keys, strict=True))
        return MixtureParams(jnp.zeros(len(models), jnp.float32), models_params)

    def initial_carry(params, batch_shape):
        pairs = zip(models, params.models, strict=True)
        return tuple(model.initial_carry(model_params, batch_shape) for model, model_params in pairs)

    def step(params, carry, token):
        results = [m.step(p, c, token) for m, p, c in zip(models, params.models, carry, strict=True)]
        carries, logits = zip(*results, strict=True)
        return carries, mix(params.log_weights, [jax.nn.log_softmax(row) for row in logits])

    def unroll(params, carry, tokens, *, mask=None, reset=None, key=None):
        carry, logits = each(unrolls, params, carry, tokens, mask=mask, reset=reset, key=key)
        return carry, mix(params.log_weights, [jax.nn.log_softmax(row) for row in logits])

    def score(params, carry, inputs, targets, *, mask=None, reset=None, key=None):
        carry, log_probs = each(scores, params, carry, inputs, targets, mask=mask, reset=reset, key=key)
        result = mix(params.log_weights, log_probs)
        return carry, masked_log_probs(result, mask)

    return LanguageModel(init, initial_carry, step, unroll, score, models[0].vocab_size)


def mix(log_weights: Float[Array, "M"], log_probs: Sequence[Float[Array, "*N"]]) -> Float[Array, "*N"]:
    """Returns log sum_m w_m exp(log_probs[m]), w the softmax of log_weights;
    -inf, with a gradient of 0, where all are -inf."""
    weights = jax.nn.log_softmax(log_weights)
    terms = jnp.stack([weight + log_prob for weight, log_prob in zip(weights, log_probs, strict=True)])
    possible = jnp.any(terms > -jnp.inf, axis=0)
    return jnp.where(possible, jax.nn.logsumexp(jnp.where(possible, terms, 0.0), axis=0), -jnp.inf)
