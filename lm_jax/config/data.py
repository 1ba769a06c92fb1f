"""The text of a language model, and how it becomes tokens."""

import dataclasses
from typing import Literal

from lm_jax.config.settings import count, setting


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The text and how it becomes tokens."""

    data: str | None = setting(
        None,
        "Text to train on: a file, - for standard input, a folder, or one of wikitext-2, wikitext-103, ptb, "
        "tiny-shakespeare. A folder has train, valid and test as .txt, .csv, .json(l) or .parquet, or .txt files of "
        "other names, which are joined in the order of their numbers. Without it: the Python documentation topics "
        "that every CPython carries.",
        metavar="FILE",
        common=True,
    )
    level: Literal["char", "byte", "word", "bpe"] = setting(
        "char",
        "Unit of a token. Words are split at white space; every line ends with an end-of-line token.",
        common=True,
    )
    text_column: str = setting("text", "Column of a table that holds the lines.", metavar="NAME")
    min_count: int = setting(1, "Occurrences below which a word is <unk>.", rule=count, common=True)
    max_vocab: int | None = setting(
        None, "Largest size of a word or bpe vocabulary (bpe: 8,192 if not given).", rule=count
    )
