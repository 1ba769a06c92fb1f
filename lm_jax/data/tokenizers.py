"""How a text becomes words: split at white space, or words and punctuation apart; and how words become a text again.

"joined" words are "simple" ones that remember where there was no space: there a sign carries a mark, ￭, so that
"don't (now)" is don ￭'￭ t (￭ now ￭), and the text comes back but for its white space. <unk> is one word always.
"""

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

from lm_jax.data.pre_tokenizers import PRE_TOKENIZERS, pre_tokenize
from lm_jax.errors import UserError


JOINER = "￭"
_PIECES = re.compile(r"\w+|[^\w\s]")


def split_words(text: str, tokenizer: str = "whitespace", lower: bool = False) -> list[str]:
    """Returns the words of a text.

    Args:
        text: any text; line ends are white space.
        tokenizer: "whitespace", or "simple": runs of letters, digits and underscores, and every other sign alone; or
            "joined": the same, and signs say where there was no space; or one of `PRE_TOKENIZERS`.
        lower: in lower case.

    Raises:
        UserError: For a pre-tokeniser without the `tokenizers` library.
    """
    return TOKENIZERS[tokenizer](text.lower() if lower else text)


def join_words(words: Iterable[str], tokenizer: str = "whitespace") -> str:
    """Returns the text of words: with spaces between them, but where "joined" ones say that there was none."""
    text = " ".join(words)
    return (
        text.replace(f" {JOINER}", "").replace(f"{JOINER} ", "").replace(JOINER, "") if tokenizer == "joined" else text
    )


def reading_of(record: Any, path: object) -> tuple[str, bool]:
    """Returns the tokenizer and the case of a vocabulary's record; raises UserError where it has none that there is."""
    tokenizer, lower = (record.get("tokenizer"), record.get("lower")) if isinstance(record, dict) else (None, None)
    if not isinstance(tokenizer, str) or tokenizer not in TOKENIZERS or not isinstance(lower, bool):
        raise UserError(f"a vocabulary must be whole, got {path}: it has no tokenizer and case that there are")
    return tokenizer, lower


def _joined(text):
    words, end = [], None
    for piece in _PIECES.finditer(text):
        word = piece.group()
        if piece.start() == end:  # no space before it: the sign says so, of two signs the second
            if _is_word(word):
                words[-1] += JOINER
            else:
                word = JOINER + word
        words.append(word)
        end = piece.end()
    return words


def _is_word(piece):
    return piece[0] == "_" or piece[0].isalnum()


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "whitespace": str.split,
    "simple": re.compile(f"<unk>|{_PIECES.pattern}").findall,
    "joined": _joined,
} | {name: functools.partial(pre_tokenize, name=name) for name in PRE_TOKENIZERS}
