"""Naive Bayes over words and pairs of neighbouring words: what a classifier that reads in order has to beat.

    log P(c | text) ~ log n_c/n + sum_f log (N(c, f) + 1) / (N(c) + F)      f: words and bigrams of the text

After Wang & Manning 2012, section 2.1: multinomial, each feature counted once a text. Features that training lacks are
left out. Counts are numpy; nothing is trained by steps.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class NaiveBayes(NamedTuple):
    """features: the column of each word (an id) and bigram (two ids); log_ratios [C, F]; log_prior [C]."""

    features: dict
    log_ratios: np.ndarray
    log_prior: np.ndarray


def fit_naive_bayes(texts: Sequence[np.ndarray], labels: np.ndarray, classes: int) -> NaiveBayes:
    """Fits naive Bayes to labelled texts by counting their features.

    Args:
        texts: ids int [T_n] of each text.
        labels: the class of each, int [N].
        classes: number of classes C.

    Returns:
        The model.
    """
    sets = [_features(text) for text in texts]
    features = {feature: column for column, feature in enumerate(dict.fromkeys(f for one in sets for f in one))}
    counts = np.ones((classes, len(features)))
    for one, label in zip(sets, labels, strict=True):
        counts[label, [features[feature] for feature in one]] += 1
    prior = np.log(np.bincount(labels, minlength=classes) / len(labels))
    return NaiveBayes(features, np.log(counts / counts.sum(axis=1, keepdims=True)), prior)


def naive_bayes_log_probs(model: NaiveBayes, texts: Sequence[np.ndarray]) -> np.ndarray:
    """Returns log P(class | text), float [N, C]."""
    scores = np.stack([_score(model, text) for text in texts])
    return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)


def _score(model, text):
    columns = [model.features[feature] for feature in _features(text) if feature in model.features]
    return model.log_prior + model.log_ratios[:, columns].sum(axis=1)


def _features(text):
    ids = text.tolist()
    return dict.fromkeys([*ids, *itertools.pairwise(ids)])
