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
    char_size: int = setting(64, "Numbers that tell the encoder about the characters of a word.", rule=count)
    word_length: int = setting(
        20, "Characters of a word that are read; of a longer one its beginning and its end.", rule=count
    )


@dataclasses.dataclass(frozen=True)
class CharLSTM(CharFeatures):
    """Two LSTMs, from both ends of a word."""

    kind: ClassVar[str] = "lstm"


@dataclasses.dataclass(frozen=True)
class CharCNN(CharFeatures):
    """Filters over a few characters, of each its largest answer."""

    kind: ClassVar[str] = "cnn"

    char_width: int = setting(5, "Characters that a filter sees.", rule=count)


CHAR_FEATURES: dict[str, Kind] = {
    "none": Kind("lm_jax.models.word_readers:no_reader"),
    "lstm": Kind("lm_jax.models.word_readers:lstm_reader", CharLSTM),
    "cnn": Kind("lm_jax.models.word_readers:cnn_reader", CharCNN),
}


@dataclasses.dataclass(frozen=True)
class TaggerConfig(EncoderConfig):
    """Words and their characters, an encoder, and what its scores mean for a string of tags."""

    word_dropout: float = setting(
        0.25,
        "A word that the training data have n times is read as unknown in training with probability "
        "word_dropout / (word_dropout + n), so that unknown ones are learnt.",
        rule=not_negative,
    )
    fold_case: bool = setting(
        False, "Words that differ in case alone have one embedding; their characters are read as they are."
    )
    char_features: Any = choice_of(
        CHAR_FEATURES, "cnn", "What is read of a word's characters: filters, LSTMs from both ends, or nothing."
    )
    output: Literal["softmax", "constrained", "crf"] = setting(
        "softmax",
        "softmax: the tags are independent of each other. constrained: the same, and the best string is sought among "
        "legal ones of BIO or IOBES. crf: transitions between tags are learnt, illegal ones forbidden.",
    )

    def __post_init__(self):
        coerce_kinds(self)


@dataclasses.dataclass(frozen=True)
class TaggedDataConfig:
    """Sentences whose words have tags."""

    data: str | None = setting(
        None,
        "A file in CoNLL-U (.conllu), or of two columns, word and tag, with blank lines between sentences; or a folder "
        "with train, valid (dev) and test. Without it, functions of the Python standard library, with the role of each "
        "name.",
        metavar="PATH",
    )
    column: Literal["upos", "xpos", "feats", "deprel"] = setting("upos", "The column of CoNLL-U that has the tags.")
    max_length: int = setting(512, "Most words of a sentence; a longer one is refused.", rule=count)


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
