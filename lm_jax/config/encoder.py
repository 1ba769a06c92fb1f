"""Settings of an encoder: an embedding and a stack of recurrent layers that may read both ways."""

import dataclasses
from typing import Any, Literal

from lm_jax.config.cells import CELLS, cell_settings
from lm_jax.config.kinds import choice_of, coerce_kinds
from lm_jax.config.settings import DependentSettings, count, rate, setting


@dataclasses.dataclass(frozen=True)
class EncoderConfig(DependentSettings):
    """An embedding and a stack of recurrent layers."""

    cell: Any = choice_of(CELLS, "lstm", "The recurrent cell; FILE.py:NAME for one of your own.", coerce=cell_settings)
    embedding_size: int = setting(100, "Size of a token's embedding.", rule=count)
    hidden_size: int = setting(128, "Units of a layer, for each direction.", rule=count)
    layers: int = setting(1, "Layers of the stack.", rule=count)
    bidirectional: bool = setting(True, "Read from both ends, with weights of their own.")
    connection: Literal["plain", "residual", "highway", "dense"] = setting("plain", "How the layers are connected.")
    dropout: float = setting(0.3, "Share dropped of embedded inputs, between layers and of outputs.", rule=rate)
    dropout_kind: Literal["elementwise", "locked"] = setting(
        "elementwise", "Draw dropout masks for every time step, or once for a whole sentence (locked: variational)."
    )
    word_dropout: float = setting(
        0.0, "Share of the tokens that are read as unknown in training, so that unknown ones are learnt.", rule=rate
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
