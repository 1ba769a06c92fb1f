"""Averages of the weights that are validated and saved instead of the last step's, and their settings."""

import dataclasses
from typing import ClassVar

from lm_jax.config.kinds import Kind
from lm_jax.config.settings import count, setting, share


@dataclasses.dataclass(frozen=True)
class EMA:
    """An exponential moving average."""

    kind: ClassVar[str] = "ema"

    decay: float = setting(
        0.999,
        "Decay of the exponential moving average, a step.",
        rule=share,
        flag="ema_decay",
        group="regularisation",
    )


@dataclasses.dataclass(frozen=True)
class NTASGD:
    """The mean of the weights since the validation loss has not improved for some validations."""

    kind: ClassVar[str] = "ntasgd"

    nonmono: int = setting(
        5, "Validations without improvement before averaging starts.", rule=count, group="regularisation"
    )


AVERAGINGS: dict[str, Kind] = {
    "none": Kind("lm_jax.training.averaging:no_average"),
    "ema": Kind("lm_jax.training.averaging:moving_average", EMA),
    "ntasgd": Kind("lm_jax.training.averaging:triggered_mean", NTASGD),
}
