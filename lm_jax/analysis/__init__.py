"""The laboratory: how much of the gradient of a recurrent model survives each step back through time, measured."""

from lm_jax.analysis.context_use import ContextUse, context_use
from lm_jax.analysis.gradient_flow import GradientFlow, gradient_flow
from lm_jax.analysis.lag_profile import LagProfile, lag_profile, log_ratios
from lm_jax.analysis.truncation import TruncationBias, truncation_bias
from lm_jax.analysis.weight_gradient import WeightGradient, weight_gradient_by_step


__all__ = [
    "ContextUse",
    "GradientFlow",
    "LagProfile",
    "TruncationBias",
    "WeightGradient",
    "context_use",
    "gradient_flow",
    "lag_profile",
    "log_ratios",
    "truncation_bias",
    "weight_gradient_by_step",
]
