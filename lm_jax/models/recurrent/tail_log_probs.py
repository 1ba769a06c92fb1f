"""The log-probabilities of a softmax for some rows of many: those whose words are in one cluster of the vocabulary.

How many they are is known only when the program runs. They are gathered and processed ROWS at a time, by a loop that
runs as often as it takes: exact for any number of them, at a cost that follows it. Autodiff cannot go back through such
a loop: the derivative is written by hand (no forward mode, no second derivative), in a second loop that makes the
logits again, so that nothing larger than [ROWS, V] is ever held.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from lm_jax.layers import product


ROWS = 64  # 32 to 128 differ little on 2 CPU cores; all rows of a batch at once take three times as long


@jax.custom_vjp
def tail_log_probs(
    hs: Float[Array, "N d"],
    words: Float[Array, "V d"],
    bias: Float[Array, "V"],
    targets: Int[Array, "N"],
    members: Bool[Array, "N"],
) -> Float[Array, "N"]:
    """Returns log softmax(hs words^T + bias)[targets] of the members, 0 of the others.

    Args:
        hs: The outputs, projected to the width d of the cluster.
        words: The vectors of the cluster's V words.
        bias: Their biases.
        targets: Places in the cluster; of rows that are no members they do not matter.
        members: The rows whose target is in the cluster.
    """
    return _tail_forward(hs, words, bias, targets, members)[0]


def _tail_forward(hs, words, bias, targets, members):
    order, pieces = _gathered(members)
    nothing = jnp.zeros(targets.shape, jnp.promote_types(words.dtype, jnp.float32))

    def piece(k, sums):
        rows, h, target = _piece(k, order, hs, targets)
        logits = product(h, words.T) + bias
        total = jax.nn.logsumexp(logits, axis=-1)
        log_prob = jnp.take_along_axis(logits, target[:, None], axis=-1)[:, 0] - total
        return sums[0].at[rows].set(log_prob, mode="drop"), sums[1].at[rows].set(total, mode="drop")

    log_probs, totals = jax.lax.fori_loop(0, pieces, piece, (nothing, nothing))
    return log_probs, (hs, words, bias, targets, members, totals)


def _tail_backward(residuals, gradient):
    hs, words, bias, targets, members, totals = residuals
    order, pieces = _gathered(members)

    def piece(k, sums):
        rows, h, target, g, total = _piece(k, order, hs, targets, gradient, totals)
        probs = jnp.exp(product(h, words.T) + bias - total[:, None])
        d_logits = (-g[:, None] * probs).at[jnp.arange(len(rows)), target].add(g)
        d_hs = sums[0].at[rows].set(product(d_logits, words), mode="drop")
        return d_hs, sums[1] + product(d_logits.T, h.astype(words.dtype)), sums[2] + d_logits.sum(0)

    zeros = (jnp.zeros(a.shape, totals.dtype) for a in (hs, words, bias))
    sums = jax.lax.fori_loop(0, pieces, piece, tuple(zeros))
    return *(s.astype(a.dtype) for s, a in zip(sums, (hs, words, bias), strict=True)), None, None


tail_log_probs.defvjp(_tail_forward, _tail_backward)


def _gathered(members):
    """Returns the places of the members, then of nothing, in whole pieces; and how many pieces have a member."""
    rows = min(ROWS, members.size)
    order = jnp.flatnonzero(members, size=math.ceil(members.size / rows) * rows, fill_value=members.size)
    return order.reshape(-1, rows), (jnp.sum(members) + rows - 1) // rows


def _piece(k, order, *arrays):
    """Returns the places of piece k, and what the arrays have there: 0 where there is no member."""
    rows = order[k]
    return rows, *(jnp.asarray(a).at[rows].get(mode="fill", fill_value=0) for a in arrays)
