"""Attention in float64 numpy, one row and one query at a time, from the equations of the two papers."""

import numpy as np


def additive_score(params, query, position):
    """v . tanh(q W_q + m W_m): Bahdanau et al. 2015, appendix A.1.2."""
    hidden = np.tanh(query @ np.float64(params.w_query) + position @ np.float64(params.w_memory))
    return np.float64(params.v) @ hidden


def multiplicative_score(params, query, position):
    """q . (m W): Luong et al. 2015, equation 8, "general"."""
    return query @ (position @ np.float64(params.w))


def attend(score, params, query, memory):
    """Weights [S] and context [E] of one query [H] over the positions [S, E] that are real."""
    memory, query = np.float64(memory), np.float64(query)
    powers = np.exp([score(params, query, position) for position in memory])
    weights = powers / powers.sum()
    return weights, weights @ memory
