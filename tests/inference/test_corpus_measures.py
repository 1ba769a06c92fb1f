"""Corpus measures from sums of statistics: by hand, and beside sacrebleu where it is installed."""

import importlib.util

import numpy as np
import pytest

from lm_jax.inference.corpus_measures import bleu, chrf, corpus_measure
from lm_jax.inference.translation_scores import score_translations


FOUND = ["The cat sat on the mat.", "a dog", "birds fly, high above!", "x"]
RIGHT = ["A cat sat on the mat.", "the dogs bark", "Birds fly high above.", "yes it is so"]


def corpus(measure, found=FOUND, right=RIGHT):
    return measure.score(sum(measure.statistics(one, other) for one, other in zip(found, right, strict=True)))


def test_chrf_of_a_pair_by_hand():
    """ "abc" beside "abd": unigrams 2 of 3, bigrams 1 of 2, trigrams 0 of 1; white space counts nothing."""
    mean = (2 / 3 + 1 / 2 + 0) / 3  # of precision and of recall, so of F too
    assert corpus(chrf(), ["a bc"], ["abd"]) == pytest.approx(100 * mean)
    # "ab" beside "abab": precision 2/2, 1/1; recall 2/4, 1/3; of orders 3 and 4 the translation has none
    precision, recall = 1.0, (2 / 4 + 1 / 3) / 2
    assert corpus(chrf(), ["ab"], ["abab"]) == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))
    assert corpus(chrf(), ["AB"], ["ab"]) == 0 and corpus(chrf(lower=True), ["AB"], ["ab"]) == pytest.approx(100)
    assert corpus(chrf(), [""], ["ab"]) == 0


def test_without_the_extra_chrf_is_the_measure():
    expected = "BLEU" if importlib.util.find_spec("sacrebleu") else "chrF"
    assert corpus_measure().name == expected


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("rows", [slice(None), slice(1, 2), slice(3, 4), slice(0, 3)])
def test_sums_give_what_sacrebleu_gives(lower, rows):
    pytest.importorskip("sacrebleu")
    found, right = FOUND[rows], RIGHT[rows]
    expected = score_translations(found, right, lower)
    assert corpus(bleu(lower), found, right) == pytest.approx(expected.bleu, abs=1e-9)
    assert corpus(chrf(lower), found, right) == pytest.approx(expected.chrf, abs=1e-9)
    assert np.isfinite(expected.bleu)
