"""Scoring, searching and generating with any language model; this package knows the contract only."""

from lm_jax.inference.beam_search import Beams, beam_search
from lm_jax.inference.free_running import FreeRunning, free_running_loss
from lm_jax.inference.generation import generate, next_tokens, read_prompt, stream
from lm_jax.inference.likelihood import Likelihood, likelihood, line_sums, score_streams, token_log_probs
from lm_jax.inference.minimal_pairs import Accuracy, judge_pairs
from lm_jax.inference.mixture_weights import em_weights, fit_cache, fit_mixture
from lm_jax.inference.sampling import Sampler, draw


__all__ = [
    "Accuracy",
    "Beams",
    "FreeRunning",
    "Likelihood",
    "Sampler",
    "beam_search",
    "draw",
    "em_weights",
    "fit_cache",
    "fit_mixture",
    "free_running_loss",
    "generate",
    "judge_pairs",
    "likelihood",
    "line_sums",
    "next_tokens",
    "read_prompt",
    "score_streams",
    "stream",
    "token_log_probs",
]
