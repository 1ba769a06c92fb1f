"""Optimisers: a chain of optax transformations, made from a configuration."""

from collections.abc import Callable

import optax

from lm_jax.config import OptimizerConfig


Schedule = Callable[[int], float]


def build_schedule(config: OptimizerConfig, decay_steps: int) -> Schedule:
    """The learning rate as a function of the step; the plateau's factor is kept in the training state.

    decay_steps: where the cosine ends, unless the configuration says it.
    """
    peak, warmup = config.learning_rate, config.warmup_steps
    if config.schedule == "cosine":
        horizon = max(config.decay_steps or decay_steps, warmup + 1)
        return optax.warmup_cosine_decay_schedule(
            init_value=peak if warmup == 0 else 0.0,
            peak_value=peak,
            warmup_steps=warmup,
            decay_steps=horizon,
            end_value=peak / 10,
        )
    if warmup:
        return optax.linear_schedule(0.0, peak, warmup)
    return optax.constant_schedule(peak)


def build_optimizer(config: OptimizerConfig, schedule: Schedule) -> optax.GradientTransformation:
    """Clipping by the global norm (Pascanu et al. 2013), weight decay, then the method."""
    methods = {
        "sgd": lambda: optax.sgd(schedule),
        "adam": lambda: optax.adam(schedule),
        "adamw": lambda: optax.adamw(schedule, weight_decay=config.weight_decay),
    }
    chain = [] if config.clip is None else [optax.clip_by_global_norm(config.clip)]
    if config.weight_decay and config.optimizer != "adamw":
        chain.append(optax.add_decayed_weights(config.weight_decay))
    return optax.chain(*chain, methods[config.optimizer]())
