"""What the types of a vocabulary must be for texts to be encoded and decoded by them."""

import re
from collections.abc import Sequence
from typing import Any

from lm_jax.data.bpe import byte_of


END = {"char": "\n", "word": "</s>", "bpe": "</s>"}  # the type that ends a line
SPACE = re.compile(r"\s")  # the white space that `str.split` knows: words of a text hold none


def check_types(level: Any, tokens: Any, merges: Any) -> None:
    """Raises ValueError, in a few words, for types that no vocabulary of this level has.

    Args:
        level: What a file gives as its level.
        tokens: What it gives as its types.
        merges: What it gives as its tokenizer; None for none.

    Raises:
        ValueError: With the rule that is broken.
    """
    if level not in (*END, "byte"):
        raise ValueError(f"its level must be char, byte, word or bpe, got {level!r:.40}")
    if merges is not None and not isinstance(merges, str):
        raise ValueError("its merges must be a text")
    texts = strings(tokens, "types")
    if len(set(texts)) != len(texts):
        raise ValueError("its types must be there once each")
    if level == "byte":
        if list(texts) != [f"{i:02x}" for i in range(256)]:
            raise ValueError("its types must be 00 to ff in this order")
        return
    if END[level] not in texts:
        raise ValueError(f"its types must have the end of a line, {END[level]!r}")
    wrong = next((text for text in texts if not _fits(level, text)), None)
    if wrong is not None:
        raise ValueError(f"its types must be those of level {level}, got {wrong!r:.40}")


def strings(values: Any, what: str) -> Sequence[str]:
    """Returns values that are a list of texts; raises ValueError for anything else."""
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"its {what} must be a list of texts")
    return values


def _fits(level, text):
    if level == "char":
        return len(text) == 1
    if level == "bpe":
        return text == END[level] or all(letter in byte_of() for letter in text)
    return level != "word" or bool(text and not SPACE.search(text))
