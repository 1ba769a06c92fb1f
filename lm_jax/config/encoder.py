"""Settings of an encoder: an embedding and a stack of recurrent layers that may read both ways."""

import dataclasses
from typing import Any, Literal

from lm_jax.config.cells import CELLS, cell_settings
from lm_jax.config.kinds import choice_of, coerce_kinds
from lm_jax.config.settings import DependentSettings, count, rate, setting


@dataclasses.dataclass(frozen=True)
class EncoderConfig(DependentSettings):
    """An embedding and a stack of recurrent layers."""

    cell: Any = choice_of(
        CELLS,
        "lstm",
        "Recurrent cell, or one of your own.",
        coerce=cell_settings,
        own="FILE.py:NAME",
        common=True,
    )
    embedding_size: int = setting(100, "Size of a token's embedding.", rule=count, common=True)
    hidden_size: int = setting(128, "Units of a layer, for each direction.", rule=count, common=True)
    layers: int = setting(1, "Number of layers.", rule=count, common=True)
    bidirectional: bool = setting(True, "Whether two encoders read the text, one from each end.")
    connection: Literal["plain", "residual", "highway", "dense"] = setting("plain", "Connection between the layers.")
    dropout: float = setting(
        0.3,
        "Dropout rate. It acts on embedded inputs, between layers and on outputs.",
        rule=rate,
        metavar="RATE",
        group="training",
        common=True,
    )
    dropout_kind: Literal["elementwise", "locked"] = setting(
        "elementwise",
        "Dropout masks: drawn for every time step, or once for a whole sentence (locked; variational dropout).",
        group="regularisation",
    )
    word_dropout: float = setting(
        0.0,
        "Probability that a token is read as unknown in training, so that unknown tokens get an embedding.",
        rule=rate,
        metavar="RATE",
        group="regularisation",
    )

    def __post_init__(self):
        coerce_kinds(self)

    def idle(self) -> dict[str, str]:
        """Returns the settings that nothing reads beside the others, with what they need."""
        idle = {}
        if not self.dropout:
            idle["dropout_kind"] = "dropout above 0"
        if self.layers == 1:
            idle["connection"] = "layers above 1"
        return idle
