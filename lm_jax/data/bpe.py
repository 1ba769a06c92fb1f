"""Byte-pair encoding (Sennrich et al. 2016) over bytes, learned by the `tokenizers` library (extra `bpe`).

Byte level: any text can be encoded and comes back exactly, so there is no <unk>. Lines are encoded one by one, and
each ends with the end-of-line token.
"""

import functools
from typing import Any

import numpy as np

from lm_jax.errors import UserError, needing_extra


def library(wanted: str = "level bpe") -> Any:
    """Imports `tokenizers`; raises UserError where it is missing. wanted: what needs it."""
    with needing_extra("bpe", f"{wanted} needs"):
        import tokenizers
    return tokenizers


def learn(text: str, size: int, end_of_line: str) -> tuple[str, tuple[str, ...]]:
    """Returns a tokenizer, as JSON, and its entries in the order of their ids.

    Args:
        text: The training text.
        size: The most entries.
        end_of_line: The entry for the end of a line.

    Raises:
        UserError: For fewer than 257 entries, and without the `tokenizers` package.
    """
    tokenizers = library()
    if size < 257:
        rule = "max_vocab of a bpe vocabulary must be at least 257 entries (256 bytes and the end of a line)"
        raise UserError(f"{rule}, got {size}", ["max_vocab"])
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[end_of_line],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text.split("\n"), trainer)
    ids = tokenizer.get_vocab()
    return tokenizer.to_str(), tuple(sorted(ids, key=lambda token: ids[token]))


def encode(tokenizer_json: str, text: str, eol_id: int) -> np.ndarray:
    """Returns the ids of a text, int32 [N]; every newline is `eol_id`.

    Args:
        tokenizer_json: The tokenizer that `learn` has made.
        text: The text.
        eol_id: The id of the end of a line.
    """
    tokenizer = _tokenizer(tokenizer_json)
    text = text.encode("utf-8", "replace").decode()  # lone surrogates, as of undecodable arguments, have no bytes
    pieces = []
    for encoding in tokenizer.encode_batch(text.split("\n"), add_special_tokens=False):
        pieces += [encoding.ids, [eol_id]]
    return np.asarray([i for piece in pieces[:-1] for i in piece], np.int32)


@functools.lru_cache(maxsize=4)
def _tokenizer(tokenizer_json):
    tokenizers = library()
    try:
        tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # of the library's own, plain types
        raise UserError(f"the merges of a bpe vocabulary must be those of a tokenizer, got {error!s:.100}") from error
    tokenizer.encode_special_tokens = True  # the end-of-line token, spelled out in a text, is a text like any other
    return tokenizer


@functools.cache
def byte_of() -> dict[str, int]:
    """Returns the byte that each character of a byte-level token stands for:
    printable ones themselves, others from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + k): b for k, b in enumerate(others)}
