"""Corpus measures of translations as sums over sentences: what reranking is tuned by, and what is resampled.

BLEU and chrF of a corpus are functions of sums: of matching n-grams, and of lengths. Kept for each sentence, these
statistics give the measure of every choice among candidates, and of every resample, without reading the texts again.
"""

import importlib
import importlib.util
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


CHARACTER_ORDER, RECALL_WEIGHT = 6, 4  # chrF2: beta^2 = 4


class CorpusMeasure(NamedTuple):
    """A measure from 0 to 100. statistics: (translation, reference) -> float64 [S]; score: sums [S] -> the measure."""

    name: str
    statistics: Callable[[str, str], np.ndarray]
    score: Callable[[np.ndarray], float]


def corpus_measure(lower: bool = False) -> CorpusMeasure:
    """Returns BLEU where sacrebleu is installed, else chrF; lower: compare in lower case."""
    return bleu(lower) if importlib.util.find_spec("sacrebleu") else chrf(lower)


def bleu(lower: bool = False) -> CorpusMeasure:
    """Returns BLEU (Papineni et al. 2002) as sacrebleu, the extra, computes it (Post 2018)."""
    library = importlib.import_module("sacrebleu.metrics").BLEU
    of_one = library(lowercase=lower, effective_order=True)  # of a sentence only the counts are read

    def statistics(found, reference):
        one = of_one.sentence_score(found, [reference])
        return np.array([one.sys_len, one.ref_len, *one.counts, *one.totals], np.float64)

    def score(sums):
        found, reference, *counts = (int(number) for number in sums)
        half = len(counts) // 2
        return library.compute_bleu(counts[:half], counts[half:], found, reference, smooth_method="exp").score

    return CorpusMeasure("BLEU", statistics, score)


def chrf(lower: bool = False) -> CorpusMeasure:
    """Returns chrF2 over character n-grams up to 6, white space apart (Popovic 2015)."""

    def statistics(found, reference):
        texts = ["".join((text.lower() if lower else text).split()) for text in (found, reference)]
        counts = []
        for order in range(1, CHARACTER_ORDER + 1):
            own, right = (Counter(text[k : k + order] for k in range(len(text) - order + 1)) for text in texts)
            # of an order that the reference lacks the translation's are not counted
            counts += [own.total() if right else 0, right.total(), (own & right).total()]
        return np.array(counts, np.float64)

    def score(sums):
        own, right, common = sums.reshape(-1, 3).T
        there = (own > 0) & (right > 0)
        if not common.any():
            return 0.0
        precision, recall = (float(np.mean(common[there] / side[there])) for side in (own, right))
        return 100 * (1 + RECALL_WEIGHT) * precision * recall / (RECALL_WEIGHT * precision + recall)

    return CorpusMeasure("chrF", statistics, score)
