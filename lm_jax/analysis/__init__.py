"""The laboratory: how much of the gradient of a recurrent model survives each step back through time, measured."""

from lm_jax.analysis.context_use import ContextUse, context_use
from lm_jax.analysis.gradient_flow import GradientFlow, gradient_flow
from lm_jax.analysis.lag_profile import LagProfile, lag_profile, log_ratios
from lm_jax.analysis.lyapunov import lyapunov_exponents, lyapunov_spectrum
from lm_jax.analysis.observation import Saturation, gate_values, recurrent_radius, saturation
from lm_jax.analysis.source_gradients import (
    SourceGradients,
    StateName,
    answer_gradients,
    chosen_answer_norms,
    source_gradients,
)
from lm_jax.analysis.spectrum import StepJacobians, step_jacobians
from lm_jax.analysis.truncation import TruncationBias, truncation_bias
from lm_jax.analysis.weight_gradient import WeightGradient, weight_gradient_by_step


__all__ = [
    "ContextUse",
    "GradientFlow",
    "LagProfile",
    "Saturation",
    "SourceGradients",
    "StateName",
    "StepJacobians",
    "TruncationBias",
    "WeightGradient",
    "answer_gradients",
    "chosen_answer_norms",
    "context_use",
    "gate_values",
    "gradient_flow",
    "lag_profile",
    "log_ratios",
    "lyapunov_exponents",
    "lyapunov_spectrum",
    "recurrent_radius",
    "saturation",
    "source_gradients",
    "step_jacobians",
    "truncation_bias",
    "weight_gradient_by_step",
]
