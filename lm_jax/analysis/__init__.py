"""The laboratory: how much of the gradient of a recurrent model survives each step back through time, measured."""

from lm_jax.analysis.gradient_flow import GradientFlow, gradient_flow
from lm_jax.analysis.lag_profile import LagProfile, lag_profile, log_ratios


__all__ = ["GradientFlow", "LagProfile", "gradient_flow", "lag_profile", "log_ratios"]
