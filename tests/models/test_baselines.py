"""Unigram and bigram baselines against sums done by hand."""

import math

import numpy as np
import pytest

from lm_jax.models.baselines import bigram_cross_entropy, unigram_cross_entropy


# "ab." "aab." with . the end of a line: . = 0, a = 1, b = 2; the fourth type, c = 3, is never seen
TRAIN = np.array([1, 2, 0, 1, 1, 2, 0])
TEST = np.array([1, 1, 3, 0])
UNIGRAM = {0: 3 / 11, 1: 4 / 11, 2: 3 / 11, 3: 1 / 11}  # (count + 1) / (7 + 4)


def test_unigram_by_hand():
    expected = -(2 * math.log(4 / 11) + math.log(1 / 11) + math.log(3 / 11)) / 4
    assert unigram_cross_entropy(TRAIN, TEST, 4) == pytest.approx(expected, rel=1e-12)


def test_bigram_by_hand():
    # pairs of the training text, the first after an end of line:  .a ab b. .a aa ab b.
    # contexts: "." 2 tokens 1 type; "a" 3 tokens 2 types; "b" 2 tokens 1 type; "c" none
    after_eol_a = (2 + 1 * UNIGRAM[1]) / (2 + 1)
    after_a_a = (1 + 2 * UNIGRAM[1]) / (3 + 2)
    after_a_c = (0 + 2 * UNIGRAM[3]) / (3 + 2)
    after_c_eol = UNIGRAM[0]  # an unseen context: the unigram
    expected = -sum(map(math.log, (after_eol_a, after_a_a, after_a_c, after_c_eol))) / 4
    assert bigram_cross_entropy(TRAIN, TEST, 4, eol_id=0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("context", range(4))
def test_probabilities_sum_to_one(context):
    def probability(cross_entropy, *words):
        return math.exp(-len(words) * cross_entropy(np.array(words)))

    def bigram(test):
        return bigram_cross_entropy(TRAIN, test, 4, 0)

    total = sum(probability(bigram, context, word) / probability(bigram, context) for word in range(4))
    assert total == pytest.approx(1, rel=1e-12)
    unigram = sum(probability(lambda test: unigram_cross_entropy(TRAIN, test, 4), word) for word in range(4))
    assert unigram == pytest.approx(1, rel=1e-12)


def test_large_vocabularies_do_not_overflow():
    """Pairs are numbered up to V squared, which passes 2^31."""
    vocab_size = 100_000
    train = np.array([99_999, 99_998] * 50, np.int32)
    expected = (50 + 1 * 51 / (100 + vocab_size)) / (50 + 1)
    got = bigram_cross_entropy(train, train[:2], vocab_size, eol_id=99_998)
    # after 99,998 (the end-of-line token: before the text, and 49 times in it) and after 99,999, one type each
    assert got == pytest.approx(-math.log(expected), rel=1e-12)
