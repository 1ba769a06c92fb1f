"""The laboratory: how much of the gradient of a recurrent model survives each step back through time, measured."""

from lm_jax.analysis.context_use import ContextUse, context_use
from lm_jax.analysis.gradient_flow import GradientFlow, gradient_flow
from lm_jax.analysis.lag_profile import LagProfile, lag_profile, log_ratios
from lm_jax.analysis.weight_gradient import WeightGradient, weight_gradient_by_step


__all__ = [
    "ContextUse",
    "GradientFlow",
    "LagProfile",
    "WeightGradient",
    "context_use",
    "gradient_flow",
    "lag_profile",
    "log_ratios",
    "weight_gradient_by_step",
]
