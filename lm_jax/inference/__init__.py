"""Scoring and generating with any language model; this package knows the contract only."""

from lm_jax.inference.generation import generate, stream
from lm_jax.inference.likelihood import Likelihood, likelihood, score_streams
from lm_jax.inference.sampling import Sampler, draw


__all__ = ["Likelihood", "Sampler", "draw", "generate", "likelihood", "score_streams", "stream"]
