"""The adaptive softmax of Grave et al. 2017 in float64 numpy, one word at a time, and the tied adaptive embedding.

Parameters are a dict: head [V_0 + C, H], b_head; words, projections, biases: lists with [V_c, d_c], [d_c, H], [V_c] for
every tail cluster. Nothing here knows lm_jax.
"""

import numpy as np


def log_softmax(z):
    return z - np.log(np.sum(np.exp(z)))


def place(cutoffs, word):
    """(cluster, place in it), 0 for the head."""
    cluster = sum(word >= cutoff for cutoff in cutoffs)
    return cluster, word - (cutoffs[cluster - 1] if cluster else 0)


def log_prob(p, cutoffs, y, word):
    """log P(word) after the output y [H]."""
    cluster, i = place(cutoffs, word)
    head = log_softmax(p["head"] @ y + p["b_head"])
    if cluster == 0:
        return head[i]
    words, projection, bias = (p[name][cluster - 1] for name in ("words", "projections", "biases"))
    return head[cutoffs[0] + cluster - 1] + log_softmax(words @ (projection @ y) + bias)[i]


def embedding(p, cutoffs, word):
    """The tied input embedding [H]."""
    cluster, i = place(cutoffs, word)
    return p["head"][i] if cluster == 0 else p["projections"][cluster - 1].T @ p["words"][cluster - 1][i]
