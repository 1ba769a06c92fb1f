"""Texts with a label each, and how they become tokens."""

import dataclasses
from typing import Literal

from lm_jax.config.settings import count, setting


@dataclasses.dataclass(frozen=True)
class LabelledDataConfig:
    """Texts with a label each, and how they become tokens."""

    data: str | None = setting(
        None,
        "A file with a line LABEL<tab>TEXT for each text, or a table (.csv, .json(l), .parquet); or a folder with "
        "train, valid and test. Without it, passages of the Python standard library, labelled by their package.",
        metavar="PATH",
    )
    level: Literal["word", "char"] = setting("word", "The unit of a token.")
    tokenizer: Literal["whitespace", "simple"] = setting(
        "simple", "Words are split at white space, or words and punctuation apart."
    )
    lower: bool = setting(False, "Read everything in lower case.")
    text_column: str = setting("text", "The column of a table that holds the texts.", metavar="NAME")
    label_column: str = setting("label", "The column of a table that holds the labels.", metavar="NAME")
    min_count: int = setting(1, "Words rarer than this become <unk>.", rule=count)
    max_vocab: int | None = setting(None, "Most types of a vocabulary of words.", rule=count)
    max_length: int = setting(1000, "Longest text in tokens; a longer one is refused.", rule=count)
