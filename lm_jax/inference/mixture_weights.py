"""Weights of mixtures and caches, fitted on held-out text by EM (Jelinek & Mercer 1980; Dempster, Laird & Rubin 1977).

    E   g_mn = w_m p_mn / sum_k w_k p_kn             how much of token n the model m accounts for
    M   w_m = (1/N) sum_n g_mn

EM needs nothing of a model but the probability p_mn that it gives to each token, so that every model scores the text
once, whatever it is. The likelihood is concave in w and no step lowers it.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from lm_jax.errors import UserError
from lm_jax.inference.likelihood import token_log_probs
from lm_jax.models.caches import ContinuousCacheParams, continuous_cache, continuous_cache_params
from lm_jax.models.interpolation import MixtureParams, mixture, mixture_params
from lm_jax.models.language_model import LanguageModel
from lm_jax.types import Params


THETAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


def em_weights(
    log_probs: Float[np.ndarray, "M N"], *, tolerance: float = 1e-9, max_iterations: int = 1000
) -> Float[np.ndarray, "M"]:
    """Fits mixture weights by EM, from equal weights: those under which a text is most likely.

    Args:
        log_probs: nats of each token under each model, -inf allowed. A token that is impossible for every model is
            left out.
        tolerance: the gain of a step, in nats per token, at which EM ends.
        max_iterations: the most steps.

    Returns:
        The weights [M], float64.

    Raises:
        UserError: for an empty text or for NaN.
    """
    log_probs = np.asarray(log_probs, np.float64)
    if log_probs.ndim != 2 or 0 in log_probs.shape:
        raise UserError(f"weights need log-probabilities of models x tokens, none of them 0, got {log_probs.shape}")
    if np.isnan(log_probs).any():
        raise UserError("weights need log-probabilities that are numbers, got NaN")
    uniform = np.full(len(log_probs), 1 / len(log_probs))
    top = log_probs.max(axis=0)
    if not np.any(top > -np.inf):
        return uniform
    probs = np.exp(log_probs[:, top > -np.inf] - top[top > -np.inf])  # at most 1; EM sees only their ratios

    weights, before = uniform, -np.inf
    for _ in range(max_iterations):
        total = weights @ probs
        new = weights * (probs / total).mean(axis=1)
        new /= new.sum()
        now = np.log(new @ probs).mean()
        if now < before:  # rounding, at the top
            break
        gain, weights, before = now - before, new, now
        if gain < tolerance:
            break
    return weights


def fit_mixture(
    models: Sequence[LanguageModel],
    models_params: Sequence[Params],
    tokens: np.ndarray,
    eol_id: int,
    *,
    eval_streams: int = 10,
    mode: str = "stream",
) -> tuple[LanguageModel, MixtureParams]:
    """Fits the mixture of models to a held-out text.

    Args:
        models: language models over one vocabulary.
        models_params: the parameters of each.
        tokens: ids int [N] of the held-out text.
        eol_id: the end-of-line token.
        eval_streams: parallel streams, as for `likelihood`.
        mode: "stream" or "sentence", as for `likelihood`.

    Returns:
        The mixture, a language model, and its parameters.

    Raises:
        UserError: for models that cannot be mixed.
    """
    combined = mixture(models)
    params = mixture_params(np.full(len(models), 1 / max(1, len(models))), models_params)
    columns = [
        token_log_probs(model, model_params, tokens, eol_id, eval_streams=eval_streams, mode=mode)
        for model, model_params in zip(models, params.models, strict=True)
    ]
    return combined, mixture_params(em_weights(np.stack(columns)), params.models)


def fit_cache(
    model: LanguageModel,
    params: Params,
    tokens: np.ndarray,
    eol_id: int,
    *,
    size: int = 2000,
    thetas: Sequence[float] = THETAS,
    eval_streams: int = 10,
    mode: str = "stream",
) -> tuple[LanguageModel, ContinuousCacheParams]:
    """Fits a continuous cache to a trained model, with theta and lambda chosen on a held-out text.

    theta is the best of a grid. For each theta, EM finds lambda from the probabilities of cache and model, kept
    between 1e-6 and 1 - 1e-6.

    Args:
        model: a recurrent language model.
        params: its parameters.
        tokens: ids int [N] of the held-out text.
        eol_id: the end-of-line token.
        size: tokens that the cache remembers.
        thetas: the grid.
        eval_streams: parallel streams, as for `likelihood`.
        mode: "stream" or "sentence", as for `likelihood`.

    Returns:
        The cached model and its parameters.

    Raises:
        UserError: for an empty grid.
    """
    if len(thetas) == 0:
        raise UserError("a cache needs at least one theta to choose from, got none")
    cached = continuous_cache(model, size)
    alone = token_log_probs(model, params, tokens, eol_id, eval_streams=eval_streams, mode=mode)
    best, chosen = -np.inf, continuous_cache_params(params)
    for number, theta in enumerate(thetas):
        all_cache = continuous_cache_params(params, theta, weight=1.0)
        columns = [alone, token_log_probs(cached, all_cache, tokens, eol_id, eval_streams=eval_streams, mode=mode)]
        weight = float(np.clip(em_weights(np.stack(columns))[1], 1e-6, 1 - 1e-6))
        log_weights = np.log([[1 - weight], [weight]])
        log_prob = np.logaddexp.reduce(np.stack(columns).astype(np.float64) + log_weights, axis=0).sum()
        if number == 0 or log_prob > best:
            best, chosen = log_prob, continuous_cache_params(params, theta, weight)
    return cached, chosen
