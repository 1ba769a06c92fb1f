"""Every string of labels, one by one, in float64: what the algorithms of a conditional random field have to equal."""

import itertools

import numpy as np


def every_string(start, transitions, end, scores, legal=None):
    """{labels: score} of all legal strings over the steps of one row, scores [T, C]."""
    steps, labels = scores.shape
    found = {}
    for string in itertools.product(range(labels), repeat=steps):
        pairs = list(itertools.pairwise(string))
        if legal is not None and steps:
            allowed = [legal.start[string[0]], legal.end[string[-1]], *(legal.between[pair] for pair in pairs)]
            if not all(allowed):
                continue
        ends = start[string[0]] + end[string[-1]] if steps else 0.0
        found[string] = ends + sum(scores[t, c] for t, c in enumerate(string)) + sum(transitions[p] for p in pairs)
    return found


def log_partition(strings):
    """log sum exp of the scores."""
    values = np.array(list(strings.values()), np.float64)
    return values.max() + np.log(np.exp(values - values.max()).sum())


def best(strings, k):
    """The k best strings with their scores, best first."""
    return sorted(strings.items(), key=lambda item: -item[1])[:k]


def marginals(strings, steps, labels):
    """P(y_t = c), [T, C]."""
    total, result = log_partition(strings), np.zeros((steps, labels))
    for string, score in strings.items():
        result[range(steps), string] += np.exp(score - total)
    return result
