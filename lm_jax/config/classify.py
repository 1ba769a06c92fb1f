"""Settings of a classifier of texts."""

import dataclasses
from typing import ClassVar, Literal

from lm_jax.config.encoder import EncoderConfig
from lm_jax.config.labelled import LabelledDataConfig
from lm_jax.config.optimizer import OptimizerConfig
from lm_jax.config.settings import count, rate, setting
from lm_jax.config.train import RunConfig
from lm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class ClassifierConfig(EncoderConfig):
    """An encoder, one vector of what it has read, and a classifier of that."""

    dropout: float = setting(0.5, "Dropout rate of embedded inputs, between layers and of outputs.", rule=rate)
    pooling: Literal["last", "mean", "max", "attention"] = setting(
        "mean",
        "How the states become one vector: the last of each direction, their mean, their maximum, or attention. The "
        "maximum is taken feature by feature; attention is a mean weighted by a learnt score.",
        common=True,
    )
    head_size: int | None = setting(
        None, "Units of a hidden layer before the softmax over the classes. Without it, there is none.", rule=count
    )


@dataclasses.dataclass(frozen=True)
class ClassifyConfig(RunConfig):
    """Settings of a classifier of texts that is trained by steps."""

    task: ClassVar[str] = "classify"

    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=5e-3, clip=5.0)
    data: LabelledDataConfig = LabelledDataConfig()
    model: ClassifierConfig = ClassifierConfig()
    vectors: str | None = setting(
        None,
        "Word vectors to initialise the embedding, in the text format of GloVe and word2vec, plain or .gz.",
        metavar="FILE",
        group="model",
    )
    init_from: str | None = setting(
        None,
        "Run of a word-level recurrent language model that embedding and lower layers are initialised from.",
        metavar="RUN",
        group="model",
    )

    def check(self) -> None:
        """Raises UserError for a setting outside its range, or one that nothing would read."""
        super().check()
        self.model.check()
        if self.vectors is not None and self.init_from is not None:
            raise UserError(f"init_from brings an embedding, got vectors {self.vectors} too", ["init_from", "vectors"])
