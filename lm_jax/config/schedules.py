"""Schedules of the learning rate, and their settings."""

import dataclasses
from typing import ClassVar

from lm_jax.config.kinds import Kind
from lm_jax.config.settings import count, inner_share, setting


@dataclasses.dataclass(frozen=True)
class CosineSchedule:
    """The learning rate falls along a cosine to a tenth."""

    kind: ClassVar[str] = "cosine"

    decay_steps: int | None = setting(
        None, "Step at which the cosine ends, if not the last step of the run as first started.", rule=count
    )


@dataclasses.dataclass(frozen=True)
class PlateauSchedule:
    """The learning rate is multiplied by a factor whenever the validation loss does not improve."""

    kind: ClassVar[str] = "plateau"

    decay_factor: float = setting(0.25, "Factor applied to the learning rate on a plateau.", rule=inner_share)


SCHEDULES: dict[str, Kind] = {
    "constant": Kind("lm_jax.training.optimizers:constant"),
    "cosine": Kind("lm_jax.training.optimizers:cosine", CosineSchedule),
    "plateau": Kind("lm_jax.training.optimizers:constant", PlateauSchedule),
}
