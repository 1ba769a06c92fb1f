"""Gradients on recurrent edges in float64 numpy: a closed form, products of full Jacobians, and finite differences.

The norms are arrays [B, T, T]: at [b, i, j] that of dJ_i by the carry that step j hands to step j+1, 0 for j >= i.
Nothing here knows how gradients are propagated: Jacobians and losses are given.
"""

import numpy as np


def linear_rnn(embedding, w_x, w_h, b, w_out, b_out, inputs, targets):
    """||dJ_i/dy_i|| [B, T] and G of h_t = e_t W_x + h_{t-1} W_h + b, from h = 0.

    G[i, j] = ||(p_i - 1_i) U^T (W_h^T)^l|| with states as rows: U = w_out, p the softmax, 1_i the target, l = i - j.
    """
    steps, batch_size = inputs.shape
    h, ys = np.zeros((batch_size, len(w_h))), []
    for token in inputs:
        h = embedding[token] @ w_x + h @ w_h + b
        ys.append(h)
    g = softmax_gradients(np.stack(ys), w_out, b_out, targets)
    norms = np.zeros((batch_size, steps, steps))
    for i in range(steps):
        for j in range(i):
            norms[:, i, j] = np.linalg.norm(g[i] @ np.linalg.matrix_power(w_h.T, i - j), axis=-1)
    return np.linalg.norm(g, axis=-1).T, norms


def softmax_gradients(ys, w_out, b_out, targets):
    """d/dy of -log softmax(y W + b)[target] [T, B, H]: (p - 1) W^T."""
    logits = ys @ w_out + b_out
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return (p - np.eye(w_out.shape[1])[targets]) @ w_out.T


def jacobian_products(carry_jacobians, output_jacobians, output_gradients):
    """dJ_i by the whole carry (flattened) that step j hands on, [B, T, T, N], from the Jacobians of single steps.

    carry_jacobians [T, B, N, N]: of the carry after a step by the one before it. output_jacobians [T, B, H, N]: of y.
    """
    steps, batch_size, size = carry_jacobians.shape[:3]
    gradients = np.zeros((batch_size, steps, steps, size))
    for b in range(batch_size):
        for i in range(steps):
            for j in range(i):
                product = np.eye(size)
                for t in range(j + 1, i):
                    product = carry_jacobians[t, b] @ product
                gradients[b, i, j] = output_gradients[i, b] @ output_jacobians[i, b] @ product
    return gradients


def central_differences(losses_after, steps, carry_after, epsilon=1e-5):
    """dJ_i by the carry that step j hands on, [B, T, T, N]; J_i is recomputed for every entry moved both ways.

    carry_after(j): [B, N], the carry after step j. losses_after(j, carry): J_{j+1} .. J_{T-1} [T-1-j, B] from there.
    """
    batch_size, size = carry_after(0).shape
    gradients = np.zeros((batch_size, steps, steps, size))
    for j in range(steps - 1):
        for entry in range(size):
            move = epsilon * np.eye(size)[entry]
            ahead, behind = (losses_after(j, carry_after(j) + sign * move) for sign in (1, -1))
            gradients[:, j + 1 :, j, entry] = ((ahead - behind) / (2 * epsilon)).T
    return gradients
