"""Models that are trained by steps, and their settings."""

import dataclasses
from typing import Any, ClassVar, Literal

from lm_jax.config.cells import CELLS, InitConfig, cell_settings
from lm_jax.config.kinds import Kind, choice_of, coerce_kinds
from lm_jax.config.settings import DependentSettings, count, not_negative, rate, rising, setting


@dataclasses.dataclass(frozen=True)
class NetworkConfig(DependentSettings):
    """Settings that every network has."""

    hidden_size: int = setting(256, "Units of a layer.", rule=count)
    top_size: int | None = setting(None, "Units of the top layer, if not hidden_size.", rule=count)
    embedding_size: int = setting(64, "Size of a token's embedding.", rule=count)
    layers: int = setting(1, "Layers of the stack.", rule=count)
    tied: bool = setting(False, "Use the embedding as the softmax weights (needs embedding_size = hidden_size).")
    dropout: float = setting(0.0, "Share dropped of embedded inputs, between layers and of outputs.", rule=rate)
    dropout_input: float | None = setting(None, "Share dropped of embedded inputs, if not dropout.", rule=rate)
    dropout_layer: float | None = setting(None, "Share dropped between layers, if not dropout.", rule=rate)
    dropout_output: float | None = setting(None, "Share dropped of outputs, if not dropout.", rule=rate)
    dropout_embedding: float = setting(0.0, "Share of the types that are absent from a chunk.", rule=rate)
    dropout_kind: Literal["elementwise", "locked"] = setting(
        "elementwise", "Draw dropout masks for every time step, or once for a whole chunk (locked: variational)."
    )
    compute_dtype: Literal["float32", "bfloat16"] = setting(
        "float32", "Type of the operands of matrix products; carries and sums stay float32."
    )

    def idle(self) -> dict[str, str]:
        """Returns the settings that nothing reads beside the others, with what they need."""
        rates = (self.dropout, self.dropout_input, self.dropout_layer, self.dropout_output)
        idle = {}
        if not any(rates):
            idle["dropout_kind"] = "dropout above 0"
        if self.layers == 1:
            idle["dropout_layer"] = "layers above 1"
        return idle


@dataclasses.dataclass(frozen=True)
class RecurrentConfig(NetworkConfig):
    """A recurrent network."""

    kind: ClassVar[str] = "recurrent"

    cell: Any = choice_of(CELLS, "lstm", "The recurrent cell; FILE.py:NAME for one of your own.", coerce=cell_settings)
    connection: Literal["plain", "residual", "highway", "dense"] = setting("plain", "How the layers are connected.")
    weight_drop: float = setting(
        0.0, "Share of the recurrent weights that are absent from a chunk (DropConnect).", rule=rate
    )
    cutoffs: tuple[int, ...] = setting(
        (),
        "Rising ids, such as 2000 10000, that cut a large vocabulary into the clusters of an adaptive softmax: faster, "
        "as exact; with tied the embedding is cut too. Without any, one softmax over all types.",
        rule=rising,
    )
    cutoff_factor: int = setting(
        4, "The size of a word's weights shrinks by this factor from one cluster to the next.", rule=count
    )
    activation_reg: float = setting(0.0, "Times the mean square of outputs, added to the loss (AR).", rule=not_negative)
    temporal_reg: float = setting(
        0.0, "Times the mean square change of outputs from step to step, added to the loss (TAR).", rule=not_negative
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

    window: int = setting(4, "Tokens that the model predicts from: an n-gram of order window + 1.", rule=count)
    direct: bool = setting(False, "Connect the embeddings to the logits directly, too.")
    layer_norm: bool = setting(False, "Normalise after every layer.")
    nonlinearity: Literal["tanh", "relu", "sigmoid", "identity"] = setting("tanh", "Nonlinearity of the units.")
    connection: Literal["plain", "residual"] = setting("plain", "How the layers are connected.")


MODELS: dict[str, Kind] = {
    "recurrent": Kind("lm_jax.models.build:recurrent", RecurrentConfig),
    "window": Kind("lm_jax.models.build:window", WindowConfig),
}
