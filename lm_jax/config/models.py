"""Models that are trained by steps, and their settings."""

import dataclasses
from typing import Any, ClassVar, Literal

from lm_jax.config.attention import AttentionConfig
from lm_jax.config.cells import CELLS, InitConfig, cell_settings
from lm_jax.config.kinds import Kind, choice_of, choose, coerce_kinds
from lm_jax.config.network import NetworkConfig, dropped
from lm_jax.config.settings import count, not_negative, rising, setting
from lm_jax.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class RecurrentConfig(NetworkConfig):
    """A recurrent network."""

    kind: ClassVar[str] = "recurrent"

    cell: Any = choice_of(
        CELLS,
        "lstm",
        "Recurrent cell, or one of your own.",
        coerce=cell_settings,
        own="FILE.py:NAME",
        common=True,
    )
    connection: Literal["plain", "residual", "highway", "dense", "block"] = setting(
        "plain",
        "Connection between the layers. block puts each into a residual block with normalisation and a gated "
        "feed-forward network; the embedding has the size of the layers then.",
    )
    weight_drop: float = dropped("Dropout rate of the recurrent weights, once a chunk (DropConnect).", 0.0)
    cutoffs: tuple[int, ...] = setting(
        (),
        "Ids, such as 2000 10000, at which an adaptive softmax cuts a large vocabulary into clusters. It is exact, and "
        "faster; with tied the embedding is cut too. Without any: one softmax over the whole vocabulary.",
        rule=rising,
    )
    cutoff_factor: int = setting(
        4, "Factor by which the embedding size shrinks from one cluster to the next.", rule=count
    )
    activation_reg: float = setting(
        0.0,
        "Weight in the loss of the mean square of the outputs (AR).",
        rule=not_negative,
        group="regularisation",
    )
    temporal_reg: float = setting(
        0.0,
        "Weight in the loss of the mean square change of the outputs from step to step (TAR).",
        rule=not_negative,
        group="regularisation",
    )

    def __post_init__(self):
        coerce_kinds(self)

    def idle(self) -> dict[str, str]:
        """Returns the settings that nothing reads beside the others, with what they need."""
        idle = super().idle()
        if not self.cutoffs:
            idle["cutoff_factor"] = "cutoffs"
        return idle


@dataclasses.dataclass(frozen=True)
class WindowConfig(InitConfig, NetworkConfig):
    """A network over the last `window` tokens."""

    kind: ClassVar[str] = "window"

    window: int = setting(
        4, "Tokens of context of a window model. An n-gram of order N + 1 has as many.", rule=count, common=True
    )
    direct: bool = setting(False, "Whether there are direct connections from embeddings to logits.")
    layer_norm: bool = setting(False, "Whether layer normalisation follows every layer.")
    nonlinearity: Literal["tanh", "relu", "sigmoid", "identity"] = setting("tanh", "Activation function of the units.")
    connection: Literal["plain", "residual"] = setting("plain", "Connection between the layers.")


MODELS: dict[str, Kind] = {
    "recurrent": Kind("lm_jax.models.build:recurrent", RecurrentConfig),
    "window": Kind("lm_jax.models.build:window", WindowConfig),
    "attention": Kind("lm_jax.models.build:attention", AttentionConfig),
}


def model_settings(value: Any) -> Any:
    """Returns the settings of a model: themselves, or the defaults of a kind by its name.

    Raises UserError for anything else; for the name of a cell it says how the model gets that cell.
    """
    try:
        return choose("model", value, MODELS)
    except UserError as error:
        cell = nearest(value, CELLS) if isinstance(value, str) else None
        if cell is None or "did you mean" in str(error):
            raise
        raise UserError(
            f'{error}; did you mean cell {cell}? (RecurrentConfig(cell="{cell}"))', error.settings
        ) from None
