"""Optimisers: a chain of optax transformations, made from a configuration."""

from typing import Any

import optax

from lm_jax.config import AVERAGINGS, SCHEDULES, OptimizerConfig
from lm_jax.config.text_defaults import UNCHOSEN
from lm_jax.training.averaging import UpdateFn


Schedule = optax.Schedule  # step -> learning rate


def build_schedule(config: OptimizerConfig, decay_steps: int) -> Schedule:
    """Makes the learning rate as a function of the step; the plateau's factor is kept in the training state.

    decay_steps: where a cosine ends, unless its settings say it.
    """
    return SCHEDULES[config.schedule.kind].make()(config, decay_steps)


def cosine(config: OptimizerConfig, decay_steps: int) -> Schedule:
    """Makes a linear warm-up, then a fall along a cosine to a tenth."""
    peak, warmup = _peak(config), config.warmup_steps
    return optax.warmup_cosine_decay_schedule(
        init_value=peak if warmup == 0 else 0.0,
        peak_value=peak,
        warmup_steps=warmup,
        decay_steps=max(config.schedule.decay_steps or decay_steps, warmup + 1),
        end_value=peak / 10,
    )


def constant(config: OptimizerConfig, decay_steps: int) -> Schedule:
    """Makes a linear warm-up, then one rate."""
    del decay_steps
    if config.warmup_steps:
        return optax.linear_schedule(0.0, _peak(config), config.warmup_steps)
    return optax.constant_schedule(_peak(config))


def _peak(config):
    return UNCHOSEN.learning_rate if config.learning_rate is None else config.learning_rate


def build_averaging(config: OptimizerConfig) -> UpdateFn | None:
    """Makes the function that moves averaged weights; None without any."""
    settings: Any = config.averaging
    return AVERAGINGS[settings.kind].make()(settings)


def build_optimizer(config: OptimizerConfig, schedule: Schedule) -> optax.GradientTransformation:
    """Makes clipping by the global norm (Pascanu et al. 2013), weight decay, then the method."""
    methods = {
        "sgd": lambda: optax.sgd(schedule),
        "adam": lambda: optax.adam(schedule),
        "adamw": lambda: optax.adamw(schedule, weight_decay=config.weight_decay),
    }
    chain = [] if config.clip is None else [optax.clip_by_global_norm(config.clip)]
    if config.weight_decay and config.optimizer != "adamw":
        chain.append(optax.add_decayed_weights(config.weight_decay))
    return optax.chain(*chain, methods[config.optimizer]())
