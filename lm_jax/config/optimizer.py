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

    optimizer: Literal["sgd", "adam", "adamw"] = setting("adam", "Optimiser.")
    learning_rate: float | None = setting(
        None, "Peak learning rate.", rule=positive, metavar="RATE", common=True, unset=BY_TEXT
    )
    clip: float | None = setting(
        1.0, "Global norm that longer gradients are scaled to; none: no clipping.", rule=positive
    )
    weight_decay: float = setting(
        0.0,
        "Weight decay: decoupled with adamw, added to the gradient (L2) with sgd and adam.",
        rule=not_negative,
        group="regularisation",
    )
    schedule: Any = choice_of(
        SCHEDULES,
        "cosine",
        "Learning-rate schedule. cosine decays to a tenth; plateau multiplies by decay_factor whenever the validation "
        "loss does not improve.",
    )
    warmup_steps: int = setting(0, "Steps of linear warm-up from zero.", rule=not_negative)
    averaging: Any = choice_of(
        AVERAGINGS,
        "none",
        "Averaged weights to evaluate and keep. ema is an exponential moving average; ntasgd averages from the "
        "validation on where the loss has stopped improving (NT-ASGD).",
        group="regularisation",
    )

    def __post_init__(self):
        coerce_kinds(self)
