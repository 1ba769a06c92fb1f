"""Parallel text, and how it becomes tokens."""

import dataclasses
from typing import Literal

from lm_jax.config.settings import count, setting
from lm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class ParallelDataConfig:
    """Sentences with their translations, and how they become tokens."""

    data: str | None = setting(
        None,
        "What two files have before their endings (text for text.de and text.en, with source de and target en); or a "
        "file with a line SOURCE<tab>TARGET for each pair (.tsv), or a table (.csv, .json(l), .parquet); or a folder "
        "with train, valid and test. Without it, dates as people write them, to be written in ISO form.",
        metavar="PATH",
    )
    source: str = setting(
        "source", "The ending of files in the language that is read, or its column of a table.", metavar="NAME"
    )
    target: str = setting(
        "target", "The ending of files in the language that is written, or its column of a table.", metavar="NAME"
    )
    level: Literal["word", "char", "bpe"] = setting("char", "The unit of a token; bpe needs the extra of that name.")
    tokenizer: Literal["joined", "simple", "whitespace"] = setting(
        "joined",
        "Words are split at white space, or words and punctuation apart; joined: and put together again as they were.",
    )
    lower: bool = setting(False, "Read and write everything in lower case.")
    min_count: int = setting(1, "Words rarer than this become <unk>.", rule=count)
    max_vocab: int | None = setting(None, "Most types of a vocabulary of words or byte pairs.", rule=count)
    max_length: int = setting(200, "Longest sentence in tokens; a longer one is refused.", rule=count)

    def check(self) -> None:
        """Raises UserError for a setting that nothing reads at this level."""
        level = self.level
        if level != "word" and self.tokenizer != "joined":
            raise UserError(f"tokenizer is for words, got {self.tokenizer} with level {level}", ["tokenizer", "level"])
        if level != "word" and self.min_count > 1:
            raise UserError(f"min_count is for words, got {self.min_count} with level {level}", ["min_count", "level"])
        if self.level == "char" and self.max_vocab is not None:
            raise UserError(
                f"max_vocab is for words and byte pairs, got {self.max_vocab} with level char", ["max_vocab", "level"]
            )
