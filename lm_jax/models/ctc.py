"""Connectionist temporal classification: the probability of a string of labels under the outputs of an encoder.

At each step t the outputs give a distribution p_t over the labels and a blank. A path has one of them a step; of a path
the string is what is left when equal neighbours are made one and then blanks are taken away:

    collapse(a a - a b b) = a a b                  -: the blank
    P(path)   = prod_t p_t[path_t]
    P(string) = sum of P(path) over all paths that collapse to it

Graves et al. 2006. The sum is that of `optax.ctc_loss`. A string of L labels, of which R are equal to the one before,
needs L + R steps: between equal neighbours a path has a blank. With fewer steps its probability is 0: its loss is
infinite and has no gradient (zeros, so that a sum over rows can be differentiated). The best path, `best_path`, is the
most likely label or blank at every step, collapsed; the best string is searched for in lm_jax/models/ctc_search.py.

Shapes: logits [T, B, C] of C - 1 labels and the blank, mask [T, B]; labels [L, B], label_mask [L, B]. Masks are False
at padding, which is at the end of a row and changes nothing.
"""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from lm_jax.encoders import check_mask
from lm_jax.types import Mask


BLANK = 0  # by default the class that stands for no label
IMPOSSIBLE = -1e9  # log 0 inside the sum: finite, so that gradients are, and lower than any path of real steps


def ctc_loss(
    logits: Float[Array, "T B C"],
    labels: Int[Array, "L B"],
    *,
    mask: Mask | None = None,
    label_mask: Bool[Array, "L B"] | None = None,
    blank_id: int = BLANK,
) -> Float[Array, "B"]:
    """Returns -log P(labels) of every row, in nats; infinite, without a gradient, where a row has too few steps.

    Args:
        logits: scores of labels and blank at every step.
        labels: the strings; none of them has the blank. What stands at padding is not read.
        mask: which steps are real; default: all.
        label_mask: which labels are real; default: all.
        blank_id: the class of the blank.

    Raises:
        UserError: for a mask that does not have the shape of what it masks, or is not boolean.
    """
    valid, real = _valid(logits, mask), _valid(labels[..., None], label_mask)
    labels = jnp.where(real, labels, blank_id)
    possible = needed_steps(labels, real) <= jnp.sum(valid, axis=0)
    safe = jnp.where(valid[..., None], logits, 0.0)  # 0 times a NaN of the padding would not be 0
    losses = optax.ctc_loss(
        jnp.moveaxis(safe, 1, 0), 1.0 - valid.T, labels.T, 1.0 - real.T, blank_id=blank_id, log_epsilon=IMPOSSIBLE
    )
    return jnp.where(possible, losses, jnp.inf)


def needed_steps(labels: Int[Array, "L B"], label_mask: Bool[Array, "L B"] | None = None) -> Int[Array, "B"]:
    """Returns how many steps the shortest path of each string has: one a label, and one between equal neighbours."""
    real = _valid(labels[..., None], label_mask)
    repeated = (labels[1:] == labels[:-1]) & real[1:]
    return jnp.sum(real, axis=0) + jnp.sum(repeated, axis=0)


def best_path(
    logits: Float[Array, "T B C"], mask: Mask | None = None, *, blank_id: int = BLANK
) -> tuple[Int[Array, "T B"], Int[Array, "B"]]:
    """Returns the string of the most likely path of every row, `blank_id` after its end, and its length.

    Args:
        logits: A row of C labels, the blank among them, for each step.
        mask: Bool [T, B], False where a step is padding; None for none.
        blank_id: The id of the blank.

    Raises:
        UserError: For a mask that does not have the shape of the logits, or is not boolean.
    """
    valid, path = _valid(logits, mask), jnp.argmax(logits, axis=-1)
    before = jnp.concatenate([jnp.full_like(path[:1], blank_id), path[:-1]])
    keep = valid & (path != blank_id) & (path != before)
    # the n-th label of a row goes to place n; what is not kept to a place beyond the end, where it is dropped
    places = jnp.where(keep, jnp.cumsum(keep, axis=0) - 1, len(path))
    strings = jnp.full_like(path, blank_id).at[places, jnp.arange(path.shape[1])].set(path, mode="drop")
    return strings, jnp.sum(keep, axis=0)


def _valid(values, mask):
    check_mask(mask, values)
    return jnp.ones(values.shape[:-1], bool) if mask is None else jnp.asarray(mask)
