"""The fixed-window network in float64 numpy, one token at a time, with the gradient by hand.

Parameters are a dict: embedding [V, E]; blocks [window, E, H], one a position, the newest first; b, scale and offset,
lists with an [H] a layer (scale and offset empty without normalisation); w, a list with an [H, H] for every layer but
the first; u [H, V] (None: the embedding transposed); direct [window, E, V] (None without); c [V]. Nothing here knows
lm_jax.
"""

import numpy as np

from tests.oracles.recurrences import NONLINEARITIES


def window_network(p, texts, nonlinearity="tanh", residual=False):
    """The logits [N, V] of the token after each of N texts (lists of ids, the newest last), and `backward`.

    `backward(d_logits)` gives the gradient as a dict like p. A text that is shorter than the window leaves its
    positions out of the sums, which is what zero vectors do.
    """
    runs = [one_text(p, text[::-1][: len(p["blocks"])], *NONLINEARITIES[nonlinearity], residual) for text in texts]

    def backward(d_logits):
        grads = {name: zeros(value) for name, value in p.items()}
        for (_, back), d in zip(runs, d_logits, strict=True):
            back(grads, d)
        return grads

    return np.stack([y for y, _ in runs]), backward


def zeros(value):
    """Like a parameter, or a list of some."""
    return [np.zeros_like(v) for v in value] if isinstance(value, list) else None if value is None else 0 * value


def one_text(p, window, f, derivative, residual):
    """y = c + sum_k C(w_k) direct_k + u U, for the ids of a window, the newest first; and its backward pass."""
    embedded = [p["embedding"][token] for token in window]
    first = sum(e @ block for e, block in zip(embedded, p["blocks"], strict=False)) + p["b"][0]
    outputs, kept = through_layers(p, first, f, residual)
    u = p["embedding"].T if p["u"] is None else p["u"]
    y = p["c"] + outputs[-1] @ u
    if p["direct"] is not None:
        y = y + sum(e @ block for e, block in zip(embedded, p["direct"], strict=False))

    def backward(grads, d_y):
        grads["c"] += d_y
        d_u = np.outer(outputs[-1], d_y)
        if p["u"] is None:
            grads["embedding"] += d_u.T
        else:
            grads["u"] += d_u
        d_first = back_through_layers(p, grads, u @ d_y, outputs, kept, derivative, residual)
        for k, e in enumerate(embedded):
            grads["blocks"][k] += np.outer(e, d_first)
            grads["embedding"][window[k]] += p["blocks"][k] @ d_first
            if p["direct"] is not None:
                grads["direct"][k] += np.outer(e, d_y)
                grads["embedding"][window[k]] += p["direct"][k] @ d_y

    return y, backward


def through_layers(p, a, f, residual):
    """The outputs of all layers from the first pre-activation, and (f(a), normalised, deviation) of each."""
    outputs, kept = [], []
    for layer in range(len(p["b"])):
        if layer > 0:
            a = outputs[-1] @ p["w"][layer - 1] + p["b"][layer]
        h = f(a)
        total = h + outputs[-1] if residual and layer > 0 else h
        deviation = np.sqrt(np.mean((total - total.mean()) ** 2) + 1e-5)
        normal = (total - total.mean()) / deviation
        kept.append((h, normal, deviation))
        outputs.append(p["scale"][layer] * normal + p["offset"][layer] if p["scale"] else total)
    return outputs, kept


def back_through_layers(p, grads, d, outputs, kept, derivative, residual):
    """The derivative by the first pre-activation, from that by the last output."""
    for layer in reversed(range(len(p["b"]))):
        h, normal, deviation = kept[layer]
        if p["scale"]:
            grads["scale"][layer] += d * normal
            grads["offset"][layer] += d
            d = d * p["scale"][layer]
            d = (d - d.mean() - normal * np.mean(d * normal)) / deviation
        d_a = d * derivative(h)
        grads["b"][layer] += d_a
        if layer > 0:
            grads["w"][layer - 1] += np.outer(outputs[layer - 1], d_a)
            d = p["w"][layer - 1] @ d_a + (d if residual else 0)
    return d_a
