"""Settings of a causal Transformer."""

import dataclasses
from typing import ClassVar, Literal

from lm_jax.config.network import COMPUTE_DTYPE, DROPOUT_EMBEDDING, DROPOUT_KIND, dropped
from lm_jax.config.settings import BY_TEXT, DependentSettings, count, number, rate, setting


@dataclasses.dataclass(frozen=True)
class AttentionConfig(DependentSettings):
    """A causal Transformer whose carry is its cache of keys and values."""

    kind: ClassVar[str] = "attention"

    hidden_size: int = setting(128, "Units of a layer, and size of the embedding.", rule=count, common=True)
    layers: int = setting(2, "Number of layers.", rule=count, common=True)
    heads: int = setting(4, "Attention heads; their number must divide the hidden size.", rule=count, common=True)
    kv_heads: int | None = setting(
        None, "Heads of keys and values, if fewer than heads; their number must divide that of heads.", rule=count
    )
    feed_forward_size: int | None = setting(
        None, "Units of the gated feed-forward network, if not 8/3 of the hidden size.", rule=count
    )
    context: int = setting(
        128,
        "Tokens that attention reaches back to, the present one included: the size of the cache.",
        rule=number("a whole number of at least 2", lambda n: int(n) == n and n >= 2),
    )
    tied: bool = setting(False, "Whether softmax and embedding share their weights.")
    dropout: float | None = setting(
        None,
        "Dropout rate. It acts on embedded inputs, on what the parts of a layer add, and on outputs.",
        rule=rate,
        metavar="RATE",
        group="training",
        common=True,
        unset=BY_TEXT,
    )
    dropout_input: float | None = dropped("Share that is dropped of embedded inputs, if not that of dropout.")
    dropout_layer: float | None = dropped("Share that is dropped of what layers add, if not that of dropout.")
    dropout_output: float | None = dropped("Share that is dropped of outputs, if not that of dropout.")
    dropout_embedding: float = DROPOUT_EMBEDDING
    dropout_kind: Literal["elementwise", "locked"] = DROPOUT_KIND
    compute_dtype: Literal["float32", "bfloat16"] = COMPUTE_DTYPE

    def idle(self) -> dict[str, str]:
        """Returns the settings that nothing reads beside the others, with what they need."""
        rates = (self.dropout, self.dropout_input, self.dropout_layer, self.dropout_output)
        return {} if any(rates) else {"dropout_kind": "dropout above 0"}
