"""Texts with a label each, and how they become tokens."""

import dataclasses
from typing import Literal

from lm_jax.config.data import WAYS_TO_SPLIT
from lm_jax.config.settings import count, setting


@dataclasses.dataclass(frozen=True)
class LabelledDataConfig:
    """Texts with a label each, and how they become tokens."""

    data: str | None = setting(
        None,
        "Labelled texts: a file with a line LABEL<tab>TEXT for each, a table, or a folder. A table is .csv, .json(l) "
        "or .parquet; a folder has train, valid and test. Without it: passages of the Python standard library, "
        "labelled by their package.",
        metavar="FILE",
        common=True,
    )
    level: Literal["word", "char"] = setting("word", "Unit of a token.", common=True)
    tokenizer: Literal["whitespace", "simple", "bert", "digits", "scripts"] = setting(
        "simple", f"How words are split: {WAYS_TO_SPLIT}."
    )
    lower: bool = setting(False, "Whether everything is read in lower case.")
    text_column: str = setting("text", "Column of a table that holds the texts.", metavar="NAME")
    label_column: str = setting("label", "Column of a table that holds the labels.", metavar="NAME")
    min_count: int = setting(1, "Occurrences below which a word is <unk>.", rule=count, common=True)
    max_vocab: int | None = setting(None, "Largest size of a vocabulary of words.", rule=count)
    max_length: int = setting(1000, "Length in tokens above which a text is refused.", rule=count)
