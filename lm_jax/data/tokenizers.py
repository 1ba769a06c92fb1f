"""How a text becomes words: split at white space, or words and punctuation apart."""

import re
from collections.abc import Callable


_PIECES = re.compile(r"\w+|[^\w\s]")


def split_words(text: str, tokenizer: str = "whitespace", lower: bool = False) -> list[str]:
    """Returns the words of a text.

    Args:
        text: any text; line ends are white space.
        tokenizer: "whitespace", or "simple": runs of letters, digits and underscores, and every other sign alone.
        lower: in lower case.
    """
    return TOKENIZERS[tokenizer](text.lower() if lower else text)


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {"whitespace": str.split, "simple": _PIECES.findall}
