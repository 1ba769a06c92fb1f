"""The laboratory: how much of the gradient of a recurrent model survives each step back through time, measured."""

from lm_jax.analysis.gradient_flow import GradientFlow, gradient_flow


__all__ = ["GradientFlow", "gradient_flow"]
