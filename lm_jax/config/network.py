"""Settings that networks have in common: their sizes, and how much of them is dropped."""

import dataclasses
from typing import Any, Literal

from lm_jax.config.settings import BY_TEXT, DependentSettings, count, rate, setting


def dropped(help: str, default: float | None = None) -> Any:
    """Declares one of the many shares that are dropped."""
    return setting(default, help, rule=rate, metavar="RATE", group="regularisation")


DROPOUT_KIND = setting(
    "elementwise",
    "Dropout masks: drawn for every time step, or once for a whole chunk (locked; variational dropout).",
    group="regularisation",
)
COMPUTE_DTYPE = setting("float32", "Number format of matrix operands; states and sums stay float32.")
DROPOUT_EMBEDDING = dropped("Share of the vocabulary that is dropped from a chunk (embedding dropout).", 0.0)


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
    dropout_input: float | None = dropped("Share that is dropped of embedded inputs, if not that of dropout.")
    dropout_layer: float | None = dropped("Share that is dropped between layers, if not that of dropout.")
    dropout_output: float | None = dropped("Share that is dropped of outputs, if not that of dropout.")
    dropout_embedding: float = DROPOUT_EMBEDDING
    dropout_kind: Literal["elementwise", "locked"] = DROPOUT_KIND
    compute_dtype: Literal["float32", "bfloat16"] = COMPUTE_DTYPE

    def idle(self) -> dict[str, str]:
        """Returns the settings that nothing reads beside the others, with what they need."""
        rates = (self.dropout, self.dropout_input, self.dropout_layer, self.dropout_output)
        idle = {}
        if not any(rates):
            idle["dropout_kind"] = "dropout above 0"
        if self.layers == 1:
            idle["dropout_layer"] = "layers above 1"
        return idle
