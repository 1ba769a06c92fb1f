"""The text of a language model, and how it becomes tokens."""

import dataclasses
from typing import Literal

from lm_jax.config.settings import BY_TEXT, DependentSettings, count, setting


WAYS_TO_SPLIT = (
    "at white space, or words and punctuation apart (simple), or by the tokenizers package (extra bpe): as BERT does "
    "(bert), each digit alone too (digits), where the script changes (scripts)"
)


@dataclasses.dataclass(frozen=True)
class DataConfig(DependentSettings):
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
        "Unit of a token. Every line ends with an end-of-line token.",
        common=True,
    )
    tokenizer: Literal["whitespace", "simple", "bert", "digits", "scripts"] = setting(
        "whitespace",
        f"How words are split, in every text that the run reads: {WAYS_TO_SPLIT}.",
    )
    lower: bool = setting(False, "Whether words are read in lower case, in every text that the run reads.")
    text_column: str = setting("text", "Column of a table that holds the lines.", metavar="NAME")
    min_count: int | None = setting(None, "Occurrences below which a word is <unk>.", rule=count, unset=BY_TEXT)
    max_vocab: int | None = setting(
        None, "Largest size of a word or bpe vocabulary (bpe: 8,192 if not given).", rule=count
    )

    def idle(self) -> dict[str, str]:
        """Returns the settings that nothing reads beside the others, with what they need."""
        return {} if self.level == "word" else dict.fromkeys(("tokenizer", "lower"), "level word")
