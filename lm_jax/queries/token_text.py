"""Texts that queries take and give: as characters or as ids, and the names of tokens that can be shown."""

from collections.abc import Sequence

import numpy as np

from lm_jax.data.vocabulary import Vocabulary
from lm_jax.errors import UserError
from lm_jax.inference.token_ids import checked_ids


Text = str | bytes | Sequence[int] | np.ndarray  # ids are whole numbers [N]


def to_ids(vocabulary: Vocabulary, text: Text) -> np.ndarray:
    """Returns the ids int32 [N] of a text, which may be given as ids.
    Raises UserError for what the vocabulary lacks."""
    if isinstance(text, bytes) and vocabulary.level != "byte":
        text = _decoded(text)
    if isinstance(text, str | bytes):
        return vocabulary.encode(text)
    return checked_ids(text, len(vocabulary))


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"a text must be UTF-8 for a model that does not read bytes, got {raw[:20]!r}") from error


def to_text(vocabulary: Vocabulary, text: Text) -> str:
    """Returns the characters of a text, which may be given as ids; bytes that are not UTF-8 become U+FFFD."""
    if isinstance(text, bytes):
        return text.decode(errors="replace")
    return text if isinstance(text, str) else vocabulary.decode(to_ids(vocabulary, text).tolist())


def shown_tokens(vocabulary: Vocabulary, ids: np.ndarray | Sequence[int]) -> tuple[str, ...]:
    """Returns each token as it can be shown: white space by a sign for it, bytes that are no text by their number."""
    ids = np.asarray(ids, int).tolist()
    names = {i: _shown_token(vocabulary, i) for i in set(ids)}
    return tuple(map(names.__getitem__, ids))


def _shown_token(vocabulary, i):
    name = vocabulary.tokens[i] if vocabulary.level in ("char", "word") else vocabulary.decode([i])
    name = "\n" if i == vocabulary.eol_id else vocabulary.tokens[i] if "\N{REPLACEMENT CHARACTER}" in name else name
    name = name.replace(" ", "␣").replace("\n", "⏎")
    return name if name.isprintable() else repr(name)[1:-1]


def unknown_words(vocabulary: Vocabulary, text: str) -> tuple[str, ...]:
    """Returns the words of a text that the vocabulary has only as <unk>, each once, in the order of the text."""
    if vocabulary.unk_id is None:
        return ()
    return tuple(dict.fromkeys(word for word in vocabulary.split(text) if word not in vocabulary.ids))
