"""The optimiser: a chain of clipping, a method and a learning-rate schedule."""

import dataclasses
from typing import Any, Literal

from lm_jax.config.averagings import AVERAGINGS
from lm_jax.config.kinds import choice_of, coerce_kinds
from lm_jax.config.schedules import SCHEDULES
from lm_jax.config.settings import BY_TEXT, not_negative, positive, setting


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser."""

    optimizer: Literal["sgd", "adam", "adamw"] = setting("adam", "Method of optimisation.")
    learning_rate: float | None = setting(
        None, "Learning rate, at its highest.", rule=positive, metavar="RATE", common=True, unset=BY_TEXT
    )
    clip: float | None = setting(
        1.0, "Global norm that longer gradients are scaled to; none: no clipping.", rule=positive
    )
    weight_decay: float = setting(
        0.0,
        "Weight decay, decoupled for adamw, for sgd and adam added to the gradient (L2).",
        rule=not_negative,
        group="regularisation",
    )
    schedule: Any = choice_of(
        SCHEDULES,
        "cosine",
        "Course of the learning rate. cosine falls along a cosine to a tenth; plateau falls by a factor whenever the "
        "validation loss does not improve.",
    )
    warmup_steps: int = setting(0, "Steps of linear warm-up from zero, whatever the schedule.", rule=not_negative)
    averaging: Any = choice_of(
        AVERAGINGS,
        "none",
        "Average of the weights that is evaluated and kept. ema is an exponential moving average; ntasgd the mean "
        "since the validation loss has not improved for some validations (NT-ASGD).",
        group="regularisation",
    )

    def __post_init__(self):
        coerce_kinds(self)
