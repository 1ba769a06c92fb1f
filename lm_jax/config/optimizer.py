"""The optimiser: a chain of clipping, a method and a learning-rate schedule."""

import dataclasses
from typing import Any, Literal

from lm_jax.config.averagings import AVERAGINGS
from lm_jax.config.kinds import choice_of, coerce_kinds
from lm_jax.config.schedules import SCHEDULES
from lm_jax.config.settings import not_negative, positive, setting


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser."""

    optimizer: Literal["sgd", "adam", "adamw"] = setting("adam", "The method.")
    learning_rate: float = setting(5e-3, "The (peak) learning rate.", rule=positive)
    clip: float | None = setting(
        1.0, "Largest global norm of the gradient; longer ones are scaled to it. None: no clipping.", rule=positive
    )
    weight_decay: float = setting(
        0.0, "Weight decay: decoupled for adamw; for sgd and adam added to the gradient (L2).", rule=not_negative
    )
    schedule: Any = choice_of(
        SCHEDULES,
        "cosine",
        "How the learning rate changes: cosine falls along a cosine to a tenth; plateau falls by decay_factor whenever "
        "the validation loss does not improve.",
    )
    warmup_steps: int = setting(0, "Steps of linear warm-up from zero, for any schedule.", rule=not_negative)
    averaging: Any = choice_of(
        AVERAGINGS,
        "none",
        "Evaluate and keep averaged weights: an exponential moving average, or the mean since the validation loss has "
        "not improved for nonmono validations (NT-ASGD).",
    )

    def __post_init__(self):
        coerce_kinds(self)
