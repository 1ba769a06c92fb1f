"""Whole words under a model of smaller tokens, against the sum over all strings."""

import itertools
import math

import jax
import numpy as np
import pytest

from lm_jax import UserError, cells, models
from lm_jax.inference.word_search import GAP, LEAST, NEW_WORD, SIGN, SPECIAL, WORD, search_words


A, B, SPACE, COMMA, SPACE_A, EOL = range(6)
KINDS = np.array([WORD, WORD, GAP, SIGN, NEW_WORD, SPECIAL])
PROMPT = np.array([A, SPACE, B])


@pytest.fixture(scope="module")
def toy():
    """A recurrent model of six tokens whose probabilities differ much."""
    model = models.recurrent_lm(len(KINDS), cells.rnn(4, 5))
    params = model.init(jax.random.key(3))
    return model, jax.tree.map(lambda leaf: 2.5 * leaf, params)


def next_log_probs(model, params, tokens):
    """log P of the token after each of several prefixes of one length, in float64: [N, V]."""
    tokens = np.asarray(tokens).T
    _, logits = model.unroll(params, model.initial_carry(params, tokens.shape[1:]), tokens)
    logits = np.asarray(logits[-1], np.float64)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def by_enumeration(model, params, longest):
    """The probability of every word of at most `longest` tokens, and of each special token; by tokens."""
    words, special = {}, {}
    alive = {(): (0.0, False)}  # tokens: (log P, whether a word is begun)
    for _ in range(longest + 1):
        rows = next_log_probs(model, params, [[EOL, *PROMPT, *tokens] for tokens in alive])
        longer = {}
        for (tokens, (total, in_word)), row in zip(alive.items(), rows, strict=True):
            if in_word:
                words[tokens] = math.exp(total) * sum(math.exp(row[i]) for i in (SPACE, COMMA, SPACE_A, EOL))
                longer |= {(*tokens, i): (total + row[i], True) for i in (A, B)}
                continue
            words[(*tokens, COMMA)] = math.exp(total + row[COMMA])
            special[EOL] = special.get(EOL, 0.0) + math.exp(total + row[EOL])
            longer |= {(*tokens, i): (total + row[i], i != SPACE) for i in (A, B, SPACE, SPACE_A)}
        alive = longer
    return words, special, sum(math.exp(total) for total, _ in alive.values())


def test_all_words_share_the_whole_probability(toy):
    words, special, left = by_enumeration(*toy, 7)
    assert sum(words.values()) + sum(special.values()) + left == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("width", [1, 4, 64])
@pytest.mark.parametrize("k", [1, 5, 12])
def test_the_most_probable_words_are_found(toy, k, width):
    words, _, left = by_enumeration(*toy, 7)
    best = sorted(words.values(), reverse=True)[:k]
    assert left < best[-1]  # so that no longer word is among them
    found = search_words(*toy, PROMPT, KINDS, k, eol_id=EOL, width=width, most_steps=3000)
    assert found.exact
    assert [word.probability for word in found.words[:k]] == pytest.approx(best, rel=1e-4)
    for word in found.words[:k]:
        assert word.probability == pytest.approx(words[word.tokens], rel=1e-4)


def test_where_a_word_starts(toy):
    found = search_words(*toy, PROMPT, KINDS, 40, eol_id=EOL)
    starts = {word.tokens: word.start for word in found.words}
    for tokens, start in starts.items():
        gaps = list(itertools.takewhile(lambda token: token == SPACE, tokens))
        assert start == len(gaps), tokens
    assert {(A,), (SPACE, A), (SPACE_A,), (COMMA,), (SPACE, COMMA)} <= starts.keys()


def test_a_search_that_is_stopped_says_so(toy):
    found = search_words(*toy, PROMPT, KINDS, 12, eol_id=EOL, width=1, most_steps=3)
    assert not found.exact and len(found.words) < 12


def test_hardly_possible_words_are_given_up(toy):
    found = search_words(*toy, PROMPT, KINDS, 10**6, eol_id=EOL, most_steps=3000)
    assert found.exact  # all beginnings above the least probability were read
    total = sum(word.probability for word in found.words) + sum(found.special.values())
    assert 0.99 < total <= 1 + 1e-6 and LEAST == 1e-6


def test_sizes_below_one_are_refused(toy):
    with pytest.raises(UserError, match="k must be a whole number of at least 1, got 0"):
        search_words(*toy, PROMPT, KINDS, 0, eol_id=EOL)
