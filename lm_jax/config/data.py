"""The text of a language model, and how it becomes tokens."""

import dataclasses
from typing import Literal

from lm_jax.config.settings import count, setting


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The text and how it becomes tokens."""

    data: str | None = setting(
        None,
        "A text file; a folder with train, valid and test as .txt, .csv, .json(l) or .parquet; or wikitext-2, "
        "wikitext-103, ptb, tiny-shakespeare. Without it, the Python documentation topics that every CPython carries.",
        metavar="PATH",
    )
    level: Literal["char", "byte", "word", "bpe"] = setting(
        "char", "The unit of a token. Words are split at white space; every line ends with an end-of-line token."
    )
    text_column: str = setting("text", "The column of a table that holds the lines.", metavar="NAME")
    min_count: int = setting(1, "Words rarer than this become <unk>.", rule=count)
    max_vocab: int | None = setting(
        None, "Most types of a word or bpe vocabulary (bpe: 8,192 if not given).", rule=count
    )
