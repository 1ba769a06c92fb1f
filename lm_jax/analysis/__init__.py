"""The laboratory: how much of the gradient of a recurrent model survives each step back through time, measured."""

from lm_jax.analysis.context_use import ContextUse, context_use
from lm_jax.analysis.gradient_flow import GradientFlow, gradient_flow
from lm_jax.analysis.lag_profile import LagProfile, lag_profile, log_ratios


__all__ = ["ContextUse", "GradientFlow", "LagProfile", "context_use", "gradient_flow", "lag_profile", "log_ratios"]
