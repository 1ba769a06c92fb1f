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
        "What the decoder reads of the source: its last state only (plain; Sutskever et al. 2014), or at every step "
        "what additive (Bahdanau et al. 2015) or multiplicative (Luong et al. 2015) attention finds.",
    )
    input_feeding: bool = setting(
        True, "Multiplicative attention: the decoder reads what it found at the step before; without, it is faster."
    )
    reverse_source: bool = setting(False, "Without attention: read the source from its end to its beginning.")
    decoder_size: int | None = setting(
        None, "Units of a layer of the decoder. Without it, as many as of the encoder.", rule=count
    )
    tied: bool = setting(False, "Embedding and softmax of the target share their weights.")

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
    batch_size: int = setting(64, "Pairs of sentences of a batch.", rule=count)
    epochs: int = setting(6, "Passes over the training data.", rule=count)
    data: ParallelDataConfig = ParallelDataConfig()
    model: TranslatorConfig = TranslatorConfig(cell="gru", embedding_size=64, dropout=0.1)
    label_smoothing: float = setting(
        0.0, "Share of the probability that is to be spread over all tokens instead of the right one.", rule=rate
    )
    scheduled_sampling: float = setting(
        0.0, "Share of the target's inputs that are replaced by the model's own predictions.", rule=share
    )
    beam_size: int = setting(5, "Hypotheses of the search for translations.", rule=count)
    length_penalty: float = setting(
        1.0, "Of the search: log-probabilities are divided by length to this power.", rule=not_negative
    )
    coverage_penalty: float = setting(
        0.0, "Of the search: weight of what attention has left of the source (Wu et al. 2016).", rule=not_negative
    )

    def check(self) -> None:
        """Raises UserError for a setting outside its range, or one that nothing would read."""
        super().check()
        self.model.check()
        self.data.check()
