"""Settings of a tagger of words."""

import dataclasses
from typing import Any, ClassVar, Literal

from lm_jax.config.encoder import EncoderConfig
from lm_jax.config.kinds import Kind, choice_of, coerce_kinds
from lm_jax.config.optimizer import OptimizerConfig
from lm_jax.config.settings import count, not_negative, setting
from lm_jax.config.train import RunConfig


@dataclasses.dataclass(frozen=True)
class CharFeatures:
    """Settings of every network over the characters of a word."""

    char_embedding_size: int = setting(32, "Size of a character's embedding.", rule=count)
    char_size: int = setting(64, "Size of the vector read from the characters of a word.", rule=count)
    word_length: int = setting(
        20, "Characters of a word that are read. Of a longer word: its beginning and its end.", rule=count
    )


@dataclasses.dataclass(frozen=True)
class CharLSTM(CharFeatures):
    """Two LSTMs, from both ends of a word."""

    kind: ClassVar[str] = "lstm"


@dataclasses.dataclass(frozen=True)
class CharCNN(CharFeatures):
    """Filters over a few characters, of each its largest answer."""

    kind: ClassVar[str] = "cnn"

    char_width: int = setting(5, "Width of a filter in characters.", rule=count)


CHAR_FEATURES: dict[str, Kind] = {
    "none": Kind("lm_jax.models.word_readers:no_reader"),
    "lstm": Kind("lm_jax.models.word_readers:lstm_reader", CharLSTM),
    "cnn": Kind("lm_jax.models.word_readers:cnn_reader", CharCNN),
}


@dataclasses.dataclass(frozen=True)
class TaggerConfig(EncoderConfig):
    """Words and their characters, an encoder, and what its scores mean for a tag sequence."""

    word_dropout: float = setting(
        0.25,
        "Number w in w / (w + n), the probability that a word seen n times is read as unknown in training.",
        rule=not_negative,
        group="regularisation",
    )
    fold_case: bool = setting(
        False, "Whether words that differ only in case share an embedding. Characters keep their case."
    )
    char_features: Any = choice_of(
        CHAR_FEATURES, "cnn", "What reads a word's characters: filters, LSTMs from both ends, or nothing.", common=True
    )
    output: Literal["softmax", "constrained", "crf"] = setting(
        "softmax",
        "Output layer: independent tags, the best legal sequence (constrained), or learnt transitions (crf). Legal are "
        "the sequences of BIO or IOBES; a crf forbids the others too.",
        common=True,
    )

    def __post_init__(self):
        coerce_kinds(self)


@dataclasses.dataclass(frozen=True)
class TaggedDataConfig:
    """Sentences whose words have tags."""

    data: str | None = setting(
        None,
        "Tagged sentences: a file in CoNLL-U (.conllu), a file of two columns, or a folder. The columns are word and "
        "tag, with blank lines between sentences; a folder has train, valid (dev) and test. Without it: functions of "
        "the Python standard library, with the role of each name.",
        metavar="FILE",
        common=True,
    )
    column: Literal["upos", "xpos", "feats", "deprel"] = setting("upos", "Column of CoNLL-U that has the tags.")
    max_length: int = setting(512, "Words above which a sentence is refused.", rule=count)


@dataclasses.dataclass(frozen=True)
class TagConfig(RunConfig):
    """Settings of a tagger that is trained by steps."""

    task: ClassVar[str] = "tag"

    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    data: TaggedDataConfig = TaggedDataConfig()
    model: TaggerConfig = TaggerConfig()

    def check(self) -> None:
        """Raises UserError for a setting outside its range, or one that nothing would read."""
        super().check()
        self.model.check()
