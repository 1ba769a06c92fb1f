"""Scheduled sampling, added to the loss of a task that asks for it."""

from typing import Any

from lm_jax.models.language_model import LanguageModel
from lm_jax.training.losses import LossFn, scheduled_sampling


def with_sampled_inputs(loss_fn: LossFn, settings: Any, model: LanguageModel) -> LossFn:
    """Adds scheduled sampling to a loss, where it is asked for.

    Args:
        loss_fn: The loss.
        settings: The settings of the run, with the share of sampled inputs.
        model: The language model that is trained.
    """
    rate = settings.scheduled_sampling
    return scheduled_sampling(loss_fn, model, rate) if rate else loss_fn
