"""Best-first search for whole words under a model of smaller tokens: characters, bytes, pieces of words.

A word is the longest run of letters, digits and underscores; any other sign that is no white space is a word of its
own. With p the prompt and w the tokens of a word (and of the white space before it), the probability that w comes next
is that w is written and then ends:

    P(w | p) = prod_i P(w_i | p w_1 .. w_{i-1}) * sum over tokens e that do not continue a word of P(e | p w)

The second factor is absent for a sign, which ends with itself. Over all words, and all tokens that are no words, these
probabilities sum to one.

The most probable beginnings are read at once, `width` of them at a time. A word is at most as probable as its
beginning, so that no word is missed once all beginnings above the k-th most probable word are read; the search goes on
to FINE of that, for what the same word has after other white space. Where it has to stop before the k-th word is sure,
`exact` is False.
"""

import functools
import heapq
import itertools
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from lm_jax.errors import check_sizes
from lm_jax.inference.generation import read_prompt
from lm_jax.models.language_model import LanguageModel
from lm_jax.types import Params


# what a token does: it is white space; it continues a word, or begins one; it begins one after white space; it is a
# sign and a whole word; it is none of the text, such as the end of a line
GAP, WORD, NEW_WORD, SIGN, SPECIAL = range(5)
WIDTH = 64
MOST_STEPS = 64  # of `width` beginnings each
LEAST = 1e-6  # the probability below which a beginning is given up
FINE = 0.02  # the share of the k-th word's probability below which it is given up too


class FoundWord(NamedTuple):
    """A word that may come next. tokens: ids of all that is added, with white space before the word; start: where the
    word begins among them, 0 where it continues the prompt."""

    tokens: tuple[int, ...]
    start: int
    probability: float


class FoundWords(NamedTuple):
    """The words that a search found, most probable first; the probability of each special token; whether the first k
    words are sure to be the k most probable."""

    words: list[FoundWord]
    special: dict[int, float]
    exact: bool


class _Beginning(NamedTuple):
    """Tokens that were chosen, the carry before the last of them (a row of a batch), and whether a word is begun."""

    tokens: tuple[int, ...]
    start: int
    in_word: bool
    token: int
    carry: Any
    row: int


def search_words(
    model: LanguageModel,
    params: Params,
    prompt: np.ndarray,
    kinds: Int[np.ndarray, "V"],
    k: int,
    *,
    eol_id: int,
    width: int = WIDTH,
    most_steps: int = MOST_STEPS,
) -> FoundWords:
    """Finds the k most probable words after a prompt.

    Args:
        model: any language model.
        params: its parameters.
        prompt: ids int [P]; a first token that continues a word continues the prompt's last one.
        kinds: what each token does, such as GAP or WORD.
        k: how many words.
        eol_id: the token before the prompt.
        width: beginnings that are read at once.
        most_steps: the most batches that are read.

    Returns:
        All words that were found on the way, at least k where there are so many above LEAST and time suffices.
    """
    check_sizes(k=k, width=width)
    carry, token = read_prompt(model, params, prompt, eol_id, 1)
    first = _Beginning((), 0, False, int(token[0]), jax.tree.map(np.asarray, carry), 0)
    order, heap = itertools.count(1), [(0.0, 0, first)]
    words: dict[tuple[int, ...], FoundWord] = {}
    special: dict[int, float] = {}
    for _ in range(most_steps):
        enough = np.log(max(FINE * _kth(words, k), LEAST))
        batch = [heapq.heappop(heap) for _ in range(min(width, len(heap))) if -heap[0][0] > enough]
        if not batch:
            return FoundWords(_ranked(words), special, exact=True)
        after, log_probs = _read(model, params, [beginning for _, _, beginning in batch], width)
        for row, (cost, _, beginning) in enumerate(batch):
            totals = log_probs[row] - cost  # log P of the beginning and each next token
            _end(beginning, totals, kinds, words, special)
            for child in _children(beginning, totals, kinds, after, row):
                heapq.heappush(heap, (-float(totals[child.token]), next(order), child))
    exact = not heap or -heap[0][0] <= np.log(_kth(words, k))
    return FoundWords(_ranked(words), special, exact)


def _kth(words, k):
    """The probability that a beginning must exceed to become one of the k most probable words."""
    best = heapq.nlargest(k, (word.probability for word in words.values()))
    return max(best[-1], LEAST) if len(best) == k else LEAST


def _ranked(words):
    return sorted(words.values(), key=lambda word: (-word.probability, word.tokens))


def _end(beginning, totals, kinds, words, special):
    """Notes what comes to an end after a beginning: its word, or at once a sign or a special token."""
    if beginning.in_word:
        _add(words, FoundWord(beginning.tokens, beginning.start, float(np.exp(totals[kinds != WORD]).sum())))
        return
    tokens = beginning.tokens
    for token in np.flatnonzero(kinds == SIGN).tolist():
        _add(words, FoundWord((*tokens, token), len(tokens), float(np.exp(totals[token]))))
    for token in np.flatnonzero(kinds == SPECIAL).tolist():
        special[token] = special.get(token, 0.0) + float(np.exp(totals[token]))


def _add(words, word):
    words[word.tokens] = word


def _children(beginning, totals, kinds, carry, row):
    """The beginnings that are longer by one token, without those of hardly any probability."""
    goes_on = kinds == WORD if beginning.in_word else (kinds == GAP) | (kinds == WORD) | (kinds == NEW_WORD)
    for token in np.flatnonzero(goes_on & (totals > np.log(LEAST))).tolist():
        tokens = (*beginning.tokens, token)
        start = len(tokens) if kinds[token] == GAP else beginning.start
        start = len(beginning.tokens) if kinds[token] == NEW_WORD else start
        yield _Beginning(tokens, start, bool(kinds[token] != GAP), token, carry, row)


def _read(model, params, beginnings, width):
    """Reads the last token of each; returns the carries after it and log P of the next tokens [width, V]."""
    padded = [*beginnings, *[beginnings[0]] * (width - len(beginnings))]
    rows = [jax.tree.map(lambda leaf, row=one.row: leaf[row], one.carry) for one in padded]
    carry = jax.tree.map(lambda *leaves: np.stack(leaves), *rows)
    token = np.array([one.token for one in padded], np.int32)
    return jax.tree.map(np.asarray, _jitted_step(model)(params, carry, token))


@functools.cache
def _jitted_step(model):
    def step(params, carry, token):
        carry, logits = model.step(params, carry, token)
        return carry, jax.nn.log_softmax(logits)

    return jax.jit(step)
