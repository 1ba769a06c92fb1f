"""Stateless parts of models: dense layers, dropout, layer normalisation, and the log-probabilities of a softmax.

Shapes: x [..., E], w [E, H], b [H]; logits [..., V].
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lm_jax.errors import UserError
from lm_jax.types import Key


DROPOUT_KINDS = ("elementwise", "locked")


def product(x: Array, w: Array) -> Array:
    """x [..., E] @ w [E, H], operands in the type of `w` (bfloat16, if `w` was cast), summed in at least float32.

    As one product of all rows: of a product with more axes XLA computes the gradient by w from a transposed copy.
    """
    accumulate = jnp.promote_types(w.dtype, jnp.float32)
    rows = x.astype(w.dtype).reshape(-1, x.shape[-1])
    return jnp.matmul(rows, w, preferred_element_type=accumulate).reshape(*x.shape[:-1], w.shape[-1])


def dropout(key: Key | None, rate: float, x: Array, kind: str = "elementwise") -> Array:
    """x with a share `rate` of its entries set to zero and the others divided by 1 - rate; x itself without a key.

    kind: "elementwise" draws every entry anew; "locked" draws one mask [1, *B, H] for all of axis 0 (time), the
    variational dropout of Gal & Ghahramani 2016.
    """
    if kind not in DROPOUT_KINDS:
        raise UserError(f"dropout kind must be one of {', '.join(DROPOUT_KINDS)}, got {kind!r}")
    if key is None or rate == 0.0:
        return x
    shape = (1, *x.shape[1:]) if kind == "locked" else x.shape
    keep = jax.random.bernoulli(key, 1.0 - rate, shape)
    return jnp.where(keep, x / (1.0 - rate), 0.0).astype(x.dtype)


def row_dropout(key: Key | None, rate: float, table: Float[Array, "V E"]) -> Float[Array, "V E"]:
    """A table with a share `rate` of its rows set to zero and the others divided by 1 - rate; itself without a key."""
    if key is None or rate == 0.0:
        return table
    keep = jax.random.bernoulli(key, 1.0 - rate, (table.shape[0], 1))
    return jnp.where(keep, table / (1.0 - rate), 0.0).astype(table.dtype)


def layer_norm(x: Float[Array, "*N H"], scale: Float[Array, "H"], offset: Float[Array, "H"]) -> Float[Array, "*N H"]:
    """Layer normalisation (Ba et al. 2016): over the last axis to mean 0 and variance 1, then scale and offset.

    y = scale * (x - mean(x)) / sqrt(var(x) + 1e-5) + offset        var: the mean squared deviation
    """
    deviation = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(deviation), axis=-1, keepdims=True)
    return scale * deviation * jax.lax.rsqrt(variance + 1e-5) + offset


def target_log_probs(logits: Float[Array, "*N V"], targets: Int[Array, "*N"]) -> Float[Array, "*N"]:
    """log softmax(logits)[target]: the target's logit less the logsumexp, never the log-softmax of everything."""
    target_logits = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return target_logits - jax.nn.logsumexp(logits, axis=-1)


def softmax_log_probs(
    ys: Float[Array, "*N H"], w: Float[Array, "H V"], b: Float[Array, "V"], targets: Int[Array, "*N"], logits_limit: int
) -> Float[Array, "*N"]:
    """log softmax(ys w + b)[targets]; in pieces, recomputed for the gradient, if the logits pass the limit in bytes."""
    itemsize = jnp.promote_types(w.dtype, jnp.float32).itemsize
    rows = targets.size
    pieces = min(rows, math.ceil(rows * w.shape[1] * itemsize / logits_limit))
    if pieces <= 1:
        return target_log_probs(product(ys, w) + b, targets)
    per_piece = math.ceil(rows / pieces)
    padding = pieces * per_piece - rows
    flat_ys = jnp.pad(ys.reshape(rows, -1), ((0, padding), (0, 0))).reshape(pieces, per_piece, -1)
    flat_targets = jnp.pad(targets.reshape(-1), (0, padding)).reshape(pieces, per_piece)
    piece = jax.checkpoint(lambda operands: target_log_probs(product(operands[0], w) + b, operands[1]))
    return jax.lax.map(piece, (flat_ys, flat_targets)).reshape(-1)[:rows].reshape(targets.shape)
