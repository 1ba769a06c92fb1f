"""Decoders with a simple recurrent cell in float64 numpy, one sentence at a time, from the equations of the papers."""

import numpy as np

from tests.oracles.attention import additive_score, attend, multiplicative_score


def decode(params, form, memory, tokens, *, input_feeding=True, forward_size=None):
    """Logits [T, V] after each of the tokens [T], and weights of attention [T, S], beside a memory [S, E].

    params: with the fields of the decoder's, its cell's w_x, w_h and b among them.
    """
    memory = np.float64(memory)
    split = memory.shape[1] if forward_size is None else forward_size
    ends = np.concatenate([memory[-1, :split], memory[0, split:]])
    begun = [np.tanh(ends @ np.float64(layer.w) + np.float64(layer.b)) for layer in params.start]
    h, fed = begun[0], begun[-1] if form == "additive" else np.zeros(params.readout.w.shape[1])
    w_out = params.embedding.T if params.w_out is None else params.w_out
    logits, weights = [], []
    for token in tokens:
        x = np.float64(params.embedding)[token]
        if form == "additive":
            a, context = attend(additive_score, params.attention, fed, memory)
            h = fed = cell(params.cell, h, np.concatenate([x, context]))
            features = [h, context, x]
        else:
            feeds = form == "multiplicative" and input_feeding
            h = cell(params.cell, h, np.concatenate([x, fed]) if feeds else x)
            a, features = None, [h]
            if form == "multiplicative":
                a, context = attend(multiplicative_score, params.attention, h, memory)
                features.append(context)
        readout = np.tanh(np.concatenate(features) @ np.float64(params.readout.w) + np.float64(params.readout.b))
        fed = fed if form == "additive" else readout
        logits.append(readout @ np.float64(w_out) + np.float64(params.b_out))
        weights.append(a)
    return np.stack(logits), None if weights[0] is None else np.stack(weights)


def cell(p, h, x):
    """tanh(x W_x + h W_h + b)."""
    return np.tanh(x @ np.float64(p.w_x) + h @ np.float64(p.w_h) + np.float64(p.b))
