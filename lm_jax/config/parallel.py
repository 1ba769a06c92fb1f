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
        "Parallel text: a file with a line SOURCE<tab>TARGET for each pair, a table, a folder, or text for text.de and "
        "text.en. A table is .csv, .json(l) or .parquet; a folder has train, valid and test; two files go with source "
        "de and target en. Without it: dates as people write them, to be written in ISO form.",
        metavar="FILE",
        common=True,
    )
    source: str = setting(
        "source", "Ending of files in the language that is read, or its column of a table.", metavar="NAME", common=True
    )
    target: str = setting(
        "target",
        "Ending of files in the language that is written, or its column of a table.",
        metavar="NAME",
        common=True,
    )
    level: Literal["word", "char", "bpe"] = setting(
        "char", "Unit of a token; bpe needs the extra of that name.", common=True
    )
    tokenizer: Literal["joined", "simple", "whitespace"] = setting(
        "joined",
        "How words are split: at white space, or words and punctuation apart (simple; joined: and put together again).",
    )
    lower: bool = setting(False, "Whether everything is read and written in lower case.")
    min_count: int = setting(1, "Occurrences below which a word is <unk>.", rule=count)
    max_vocab: int | None = setting(None, "Largest size of a vocabulary of words or byte pairs.", rule=count)
    max_length: int = setting(200, "Length in tokens above which a sentence is refused.", rule=count)

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
