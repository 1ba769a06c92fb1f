"""Models that are trained by steps, and their settings."""

import dataclasses
from typing import Any, ClassVar, Literal

from lm_jax.config.cells import CELLS, InitConfig, cell_settings
from lm_jax.config.kinds import Kind, choice_of, choose, coerce_kinds
from lm_jax.config.settings import BY_TEXT, DependentSettings, count, not_negative, rate, rising, setting
from lm_jax.errors import UserError, nearest


def _dropped(help, default=None):
    """Declares one of the many shares that are dropped."""
    return setting(default, help, rule=rate, metavar="RATE", group="regularisation")


@dataclasses.dataclass(frozen=True)
class NetworkConfig(DependentSettings):
    """Settings that every network has."""

    hidden_size: int = setting(256, "Units of a layer.", rule=count, common=True)
    top_size: int | None = setting(None, "Units of the top layer, if different from the other layers.", rule=count)
    embedding_size: int = setting(64, "Size of a token's embedding.", rule=count, common=True)
    layers: int = setting(1, "Number of layers.", rule=count, common=True)
    tied: bool = setting(
        False, "Whether softmax and embedding share their weights. The embedding must have the size of the top layer."
    )
    dropout: float | None = setting(
        None,
        "Dropout rate. It acts on embedded inputs, between layers and on outputs.",
        rule=rate,
        metavar="RATE",
        group="training",
        common=True,
        unset=BY_TEXT,
    )
    dropout_input: float | None = _dropped("Share that is dropped of embedded inputs, if not that of dropout.")
    dropout_layer: float | None = _dropped("Share that is dropped between layers, if not that of dropout.")
    dropout_output: float | None = _dropped("Share that is dropped of outputs, if not that of dropout.")
    dropout_embedding: float = _dropped(
        "Share of the vocabulary that is dropped from a chunk (embedding dropout).", 0.0
    )
    dropout_kind: Literal["elementwise", "locked"] = setting(
        "elementwise",
        "Dropout masks: drawn for every time step, or once for a whole chunk (locked; variational dropout).",
        group="regularisation",
    )
    compute_dtype: Literal["float32", "bfloat16"] = setting(
        "float32", "Number format of matrix operands; states and sums stay float32."
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
    weight_drop: float = _dropped("Dropout rate of the recurrent weights, once a chunk (DropConnect).", 0.0)
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
