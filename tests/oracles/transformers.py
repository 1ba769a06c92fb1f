"""A causal Transformer in numpy, one text and one position at a time, without a cache: full attention in a band."""

import numpy as np


def transformer(p, tokens, heads, context):
    """The logits [T, V] after each token of one text.

    p: the parameters of the model as numpy arrays of float64. heads: of queries. context: tokens that a position
    attends to, itself included.
    """
    xs = p.embedding[np.asarray(tokens)]
    for layer in p.cell.cells:
        xs = through_layer(layer, xs, heads, context)
    w = p.embedding.T if p.w_out is None else p.w_out
    return xs @ w + p.b_out


def through_layer(p, xs, heads, context):
    """One layer over a whole text [T, H]."""
    size = xs.shape[1] // heads
    shared = heads // (p.w_k.shape[1] // size)  # heads of queries to one of keys
    normal = normalised(xs, p.norm_attention)
    answers = np.zeros_like(xs)
    for head in range(heads):
        mine, theirs = (slice(k * size, (k + 1) * size) for k in (head, head // shared))
        q, k, v = normal @ p.w_q[:, mine], normal @ p.w_k[:, theirs], normal @ p.w_v[:, theirs]
        for t in range(len(xs)):
            seen = range(max(0, t - context + 1), t + 1)
            scores = np.array([np.sum(turned(q[t], t) * np.conj(turned(k[s], s))).real for s in seen])
            weights = np.exp(scores / np.sqrt(size))
            answers[t, mine] = weights / weights.sum() @ v[list(seen)]
    us = xs + answers @ p.w_o
    normal = normalised(us, p.norm_network)
    gate = normal @ p.w_gate
    ys = us + (gate / (1 + np.exp(-gate)) * (normal @ p.w_up)) @ p.w_down
    return ys if p.norm_out is None else normalised(ys, p.norm_out)


def normalised(xs, scale):
    """Divided by the root mean square."""
    return scale * xs / np.sqrt(np.mean(xs**2, axis=-1, keepdims=True) + 1e-5)


def turned(x, position):
    """The planes of a vector as complex numbers, each turned by its angle at a position."""
    half = len(x) // 2
    angles = [position / 10000 ** (2 * i / len(x)) for i in range(half)]
    return (x[:half] + 1j * x[half:]) * np.exp(1j * np.array(angles))
