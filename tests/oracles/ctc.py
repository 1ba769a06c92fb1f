"""Connectionist temporal classification by going through every path, in float64."""

import itertools

import numpy as np


def collapse(path, blank=0):
    """The string of a path: of equal neighbours one, then no blanks."""
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def every_string(logits, blank=0):
    """{string: probability} of all strings over the steps of one row, logits [T, C]."""
    logits = np.asarray(logits, np.float64)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    found = {}
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        string = collapse(path, blank)
        found[string] = found.get(string, 0.0) + float(np.prod(probs[range(len(path)), path]))
    return found
