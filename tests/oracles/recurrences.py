"""Recurrences in float64 numpy, written from their equations, one loop over time each, with the gradient by hand.

Every function takes a dict of parameters (w_x, w_h, b, for the GRU b_hn), an initial carry and xs [T, B, E], and
returns (ys, last carry, backward). `backward(d_ys, d_last)` is backpropagation through time: from the derivatives of
a loss by the outputs and by the last carry to those by (parameters, initial carry, xs). Nothing here knows lm_jax.
"""

import numpy as np


def sigmoid(a):
    """1 / (1 + exp(-a)), without overflow."""
    return 0.5 * (np.tanh(0.5 * a) + 1)


# f, and f' in terms of f(a)
NONLINEARITIES = {
    "tanh": (np.tanh, lambda y: 1 - y**2),
    "relu": (lambda a: np.maximum(a, 0), lambda y: (y > 0).astype(y.dtype)),
    "sigmoid": (sigmoid, lambda y: y * (1 - y)),
    "identity": (lambda a: a, np.ones_like),
}


def rnn(p, h, xs, nonlinearity="tanh"):
    """h_t = f(x_t W_x + h_{t-1} W_h + b)."""
    f, derivative = NONLINEARITIES[nonlinearity]
    hs = [h]
    for x in xs:
        hs.append(f(x @ p["w_x"] + hs[-1] @ p["w_h"] + p["b"]))

    def backward(d_ys, d_last):
        grads, d_xs, d_h = zeros(p), np.zeros_like(xs), d_last
        for t in reversed(range(len(xs))):
            d_a = (d_h + d_ys[t]) * derivative(hs[t + 1])
            grads["w_x"] += xs[t].T @ d_a
            grads["w_h"] += hs[t].T @ d_a
            grads["b"] += d_a.sum(axis=0)
            d_xs[t] = d_a @ p["w_x"].T
            d_h = d_a @ p["w_h"].T
        return grads, d_h, d_xs

    return np.stack(hs[1:]), hs[-1], backward


def gru_after(p, h, xs):
    """n = tanh(x W_xn + b_n + r * (h W_hn + b_hn)), h' = (1 - z) n + z h."""
    size = h.shape[-1]
    saved = []
    for x in xs:
        a_x, a_h = x @ p["w_x"] + p["b"], h @ p["w_h"]
        r = sigmoid(a_x[:, :size] + a_h[:, :size])
        z = sigmoid(a_x[:, size : 2 * size] + a_h[:, size : 2 * size])
        m = a_h[:, 2 * size :] + p["b_hn"]
        n = np.tanh(a_x[:, 2 * size :] + r * m)
        saved.append((h, r, z, m, n))
        h = (1 - z) * n + z * h

    def backward(d_ys, d_last):
        grads, d_xs, d_h = zeros(p), np.zeros_like(xs), d_last
        for t in reversed(range(len(xs))):
            before, r, z, m, n = saved[t]
            d_h = d_h + d_ys[t]
            d_n = d_h * (1 - z) * (1 - n**2)
            d_z = d_h * (before - n) * z * (1 - z)
            d_r = d_n * m * r * (1 - r)
            d_x = np.concatenate([d_r, d_z, d_n], axis=1)
            d_product = np.concatenate([d_r, d_z, d_n * r], axis=1)
            grads["w_x"] += xs[t].T @ d_x
            grads["b"] += d_x.sum(axis=0)
            grads["w_h"] += before.T @ d_product
            grads["b_hn"] += (d_n * r).sum(axis=0)
            d_xs[t] = d_x @ p["w_x"].T
            d_h = d_h * z + d_product @ p["w_h"].T
        return grads, d_h, d_xs

    return outputs(saved, h), h, backward


def gru_before(p, h, xs):
    """n = tanh(x W_xn + b_n + (r * h) W_hn), h' = (1 - z) n + z h."""
    size = h.shape[-1]
    w_r, w_z, w_n = p["w_h"][:, :size], p["w_h"][:, size : 2 * size], p["w_h"][:, 2 * size :]
    saved = []
    for x in xs:
        a = x @ p["w_x"] + p["b"]
        r = sigmoid(a[:, :size] + h @ w_r)
        z = sigmoid(a[:, size : 2 * size] + h @ w_z)
        n = np.tanh(a[:, 2 * size :] + (r * h) @ w_n)
        saved.append((h, r, z, n))
        h = (1 - z) * n + z * h

    def backward(d_ys, d_last):
        grads, d_xs, d_h = zeros(p), np.zeros_like(xs), d_last
        for t in reversed(range(len(xs))):
            before, r, z, n = saved[t]
            d_h = d_h + d_ys[t]
            d_n = d_h * (1 - z) * (1 - n**2)
            d_z = d_h * (before - n) * z * (1 - z)
            d_gated = d_n @ w_n.T
            d_r = d_gated * before * r * (1 - r)
            d_x = np.concatenate([d_r, d_z, d_n], axis=1)
            grads["w_x"] += xs[t].T @ d_x
            grads["b"] += d_x.sum(axis=0)
            grads["w_h"] += np.concatenate([before.T @ d_r, before.T @ d_z, (r * before).T @ d_n], axis=1)
            d_xs[t] = d_x @ p["w_x"].T
            d_h = d_h * z + d_gated * r + d_r @ w_r.T + d_z @ w_z.T
        return grads, d_h, d_xs

    return outputs(saved, h), h, backward


def lstm(p, carry, xs):
    """c' = f c + i g, h' = o tanh(c'); the carry is (h, c)."""
    (h, c), ys, saved = carry, [], []
    for x in xs:
        a = np.split(x @ p["w_x"] + h @ p["w_h"] + p["b"], 4, axis=1)
        i, f, g, o = sigmoid(a[0]), sigmoid(a[1]), np.tanh(a[2]), sigmoid(a[3])
        new_c = f * c + i * g
        saved.append((h, c, i, f, g, o, np.tanh(new_c)))
        h, c = o * np.tanh(new_c), new_c
        ys.append(h)

    def backward(d_ys, d_last):
        grads, d_xs, (d_h, d_c) = zeros(p), np.zeros_like(xs), d_last
        for t in reversed(range(len(xs))):
            h_before, c_before, i, f, g, o, shown = saved[t]
            d_h = d_h + d_ys[t]
            d_c = d_c + d_h * o * (1 - shown**2)
            d_i, d_f = d_c * g * i * (1 - i), d_c * c_before * f * (1 - f)
            d_g, d_o = d_c * i * (1 - g**2), d_h * shown * o * (1 - o)
            d_a = np.concatenate([d_i, d_f, d_g, d_o], axis=1)
            grads["w_x"] += xs[t].T @ d_a
            grads["w_h"] += h_before.T @ d_a
            grads["b"] += d_a.sum(axis=0)
            d_xs[t] = d_a @ p["w_x"].T
            d_h, d_c = d_a @ p["w_h"].T, d_c * f
        return grads, (d_h, d_c), d_xs

    return np.stack(ys), (h, c), backward


def zeros(p):
    """Gradients to add to."""
    return {name: np.zeros_like(value) for name, value in p.items()}


def outputs(saved, last):
    """The states after each step, where the state before a step is the first thing saved of it."""
    return np.stack([*(step[0] for step in saved[1:]), last])
