"""Predictive typing: the words that may come next, whatever the tokens of the model are."""

import unicodedata
from typing import NamedTuple

import numpy as np

from lm_jax.data.vocabulary import END_OF_LINE, OUT_OF_VOCABULARY, UNKNOWN, Vocabulary
from lm_jax.errors import check_sizes
from lm_jax.inference.word_search import GAP, NEW_WORD, SIGN, SPECIAL, WORD, search_words
from lm_jax.queries.loaded_run import RunLike, UserCell, as_language_model
from lm_jax.queries.next_tokens import next_tokens
from lm_jax.queries.token_text import Text, to_ids, to_text
from lm_jax.short_repr import shortly_shown


SPECIAL_WORDS = frozenset({END_OF_LINE, UNKNOWN, OUT_OF_VOCABULARY, "<s>", "<pad>", "<eos>", "<bos>"})


@shortly_shown
class Completion(NamedTuple):
    """A word, or a special token, that may come next. added: what the text gets; of a word that the prompt has begun
    the rest."""

    word: str
    added: str
    probability: float


@shortly_shown
class Completions(NamedTuple):
    """The most probable words, best first. covered: their probability in all; the rest are other words and special
    tokens. exact: whether the search was over, so that no other word is more probable."""

    words: list[Completion]
    covered: float
    exact: bool


def complete(
    run: RunLike, prompt: Text = "", k: int = 10, *, special: bool = False, cell: UserCell | None = None
) -> Completions:
    """Finds the k words that are most likely to come next.

    With words for tokens these are the most likely tokens; with characters, bytes or byte pairs they are searched for,
    as `lm_jax.inference.word_search` says. A prompt that ends inside a word goes on with that word or ends it.

    Args:
        run: The folder of a run, or a run that is loaded.
        prompt: The text before, or its ids; it follows an end of line.
        k: How many words.
        special: Whether the end of a line, <unk> and the like are offered too.
        cell: The user's own cell that the run was trained with.

    Raises:
        UserError: For no run, a prompt that the vocabulary cannot encode, and a k below 1.
    """
    check_sizes(k=k)
    run = as_language_model(run, cell)
    find = _tokens if run.vocabulary.level == "word" else _searched
    words, exact = find(run, prompt, k, special)
    words = sorted(words, key=lambda word: -word.probability)[:k]
    return Completions(words, float(sum(word.probability for word in words)), exact)


def special_ids(vocabulary: Vocabulary) -> list[int]:
    """Returns the ids of the tokens that are no text: the end of a line, and at word level <unk> and the like."""
    words = vocabulary.tokens if vocabulary.level == "word" else ()
    return sorted({vocabulary.eol_id, *(i for i, token in enumerate(words) if token in SPECIAL_WORDS)})


def _tokens(run, prompt, k, special):
    rows = next_tokens(run, prompt, k + len(SPECIAL_WORDS))
    text = to_text(run.vocabulary, prompt)
    gap = " " if text and not text[-1].isspace() else ""
    return [
        Completion(row.token, "\n" if row.token == END_OF_LINE else gap + row.token, row.probability)
        for row in rows
        if special or row.token not in SPECIAL_WORDS
    ], True


def _searched(run, prompt, k, special):
    vocabulary = run.vocabulary
    found = search_words(
        run.model, run.params, to_ids(vocabulary, prompt), token_kinds(vocabulary), k, eol_id=vocabulary.eol_id
    )
    begun = _begun_word(to_text(vocabulary, prompt))
    best: dict[tuple[str, bool], Completion] = {}  # by word, and whether it continues the prompt's last one
    for one in found.words:  # the most probable first; of a word after one space or two, the probabilities are added
        word = vocabulary.decode(one.tokens[one.start :]).strip()
        goes_on = one.start == 0 and _in_word(word[:1]) and not vocabulary.decode(one.tokens)[:1].isspace()
        word = begun + word if goes_on else word
        known = best.get((word, goes_on), Completion(word, vocabulary.decode(one.tokens), 0.0))
        best[word, goes_on] = known._replace(probability=known.probability + one.probability)
    if special:
        for i, probability in found.special.items():
            best[vocabulary.tokens[i], False] = Completion(vocabulary.decode([i]), vocabulary.decode([i]), probability)
    return list(best.values()), found.exact


def token_kinds(vocabulary: Vocabulary) -> np.ndarray:
    """Returns what each token does to a word, as `search_words` takes it: int [V]."""
    kinds = [_kind(_spelled(vocabulary, i)) for i in range(len(vocabulary))]
    kinds[vocabulary.eol_id] = SPECIAL
    return np.array(kinds)


def _spelled(vocabulary, i):
    """The text of a token; a byte that is only a part of a sign reads as a letter."""
    text = vocabulary.tokens[i] if vocabulary.level == "char" else vocabulary.decode([i])
    return text.replace("\N{REPLACEMENT CHARACTER}", "a")


def _kind(text):
    if not text or text.isspace():
        return GAP
    if not _in_word(text.lstrip()[0]):
        return SIGN
    return NEW_WORD if text[0].isspace() else WORD


def _in_word(sign):
    """Whether a sign is a letter, a digit, an underscore, or a mark that belongs to the letter before it."""
    return sign == "_" or sign.isalnum() or (sign != "" and unicodedata.category(sign).startswith("M"))


def _begun_word(text):
    """The word that a text ends in, without an end; "" after white space or a sign."""
    start = len(text)
    while start and _in_word(text[start - 1]):
        start -= 1
    return text[start:]
