"""Pre-tokenisers of the `tokenizers` library (extra `bpe`) as ways to split a text into words.

Only those that split: the byte-level ones write words in other letters. They see what stands between white space, one
distinct piece at a time, so that white space is Python's and a piece that occurs again costs nothing. <unk> is one word
always.
"""

import functools
from collections.abc import Callable
from typing import Any

from lm_jax.data import bpe


UNKNOWN = "<unk>"
# By name, how each is made by the module `tokenizers.pre_tokenizers`.
PRE_TOKENIZERS: dict[str, Callable[[Any], Any]] = {
    "bert": lambda library: library.BertPreTokenizer(),
    "digits": lambda library: library.Sequence(
        [library.BertPreTokenizer(), library.Digits(individual_digits=True)],
    ),
    "scripts": lambda library: library.UnicodeScripts(),
}


def pre_tokenize(text: str, name: str) -> list[str]:
    """Returns the words of a text; name: one of `PRE_TOKENIZERS`. Raises UserError without the library."""
    return [word for piece in text.split() for word in _words(name, piece)]


@functools.cache
def _pre_tokenizer(name):
    return PRE_TOKENIZERS[name](bpe.library(f"tokenizer {name}").pre_tokenizers)


@functools.lru_cache(maxsize=2**18)
def _words(name, piece):
    pre_tokenizer, words = _pre_tokenizer(name), []
    for k, part in enumerate(piece.split(UNKNOWN)):
        part = part.encode("utf-8", "replace").decode()  # lone surrogates, as of undecodable arguments, have no bytes
        words += [*([UNKNOWN] if k else []), *(word for word, _ in pre_tokenizer.pre_tokenize_str(part))]
    return tuple(words)
