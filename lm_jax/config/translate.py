"""Settings of a translator."""

import dataclasses
from typing import ClassVar, Literal

from lm_jax.config.encoder import EncoderConfig
from lm_jax.config.optimizer import OptimizerConfig
from lm_jax.config.parallel import ParallelDataConfig
from lm_jax.config.settings import count, not_negative, rate, setting, share
from lm_jax.config.train import RunConfig


@dataclasses.dataclass(frozen=True)
class TranslatorConfig(EncoderConfig):
    """An encoder of the source, and a decoder with as many layers that says the target."""

    attention: Literal["plain", "additive", "multiplicative"] = setting(
        "additive",
        "What the decoder reads of the source: its last state only (plain), or what attention finds at every step. "
        "plain: Sutskever et al. 2014; additive: Bahdanau et al. 2015; multiplicative: Luong et al. 2015.",
        common=True,
    )
    input_feeding: bool = setting(
        True, "Whether the decoder reads the attention vector of the step before; with multiplicative attention."
    )
    reverse_source: bool = setting(False, "Whether the source is read in reverse order; without attention.")
    decoder_size: int | None = setting(None, "Units of a decoder layer, if different from the encoder.", rule=count)
    tied: bool = setting(False, "Whether embedding and softmax of the target share their weights.")

    def idle(self) -> dict[str, str]:
        """Returns the settings that nothing reads beside the others, with what they need."""
        idle = super().idle()
        if self.attention != "multiplicative":
            idle["input_feeding"] = "attention multiplicative"
        if self.attention != "plain":
            idle["reverse_source"] = "attention plain"
        return idle


@dataclasses.dataclass(frozen=True)
class TranslateConfig(RunConfig):
    """Settings of a translator that is trained by steps."""

    task: ClassVar[str] = "translate"

    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    batch_size: int = setting(64, "Sentence pairs of a batch.", rule=count, common=True)
    epochs: int | None = setting(6, "Passes over the training data.", rule=count, common=True)
    data: ParallelDataConfig = ParallelDataConfig()
    model: TranslatorConfig = TranslatorConfig(cell="gru", embedding_size=64, dropout=0.1)
    label_smoothing: float = setting(
        0.0,
        "Probability that is spread over all tokens instead of the right one.",
        rule=rate,
        metavar="RATE",
        group="regularisation",
    )
    scheduled_sampling: float = setting(
        0.0,
        "Probability that an input of the decoder is replaced by the model's own prediction.",
        rule=share,
        metavar="RATE",
        group="regularisation",
    )
    beam_size: int = setting(5, "Beam size of the search for translations.", rule=count, group="search")
    length_penalty: float = setting(
        1.0,
        "Exponent of the length that log-probabilities are divided by.",
        rule=not_negative,
        group="search",
    )
    coverage_penalty: float = setting(
        0.0,
        "Weight of the penalty for source words without attention (Wu et al. 2016).",
        rule=not_negative,
        group="search",
    )

    def check(self) -> None:
        """Raises UserError for a setting outside its range, or one that nothing would read."""
        super().check()
        self.model.check()
        self.data.check()
