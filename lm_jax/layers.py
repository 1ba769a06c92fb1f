"""Stateless parts of models: dense layers, dropout, normalisation, and the log-probabilities of a softmax.

Shapes: x [..., E], w [E, H], b [H]; logits [..., V].
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lm_jax.errors import UserError, check_rate
from lm_jax.types import Key


DROPOUT_KINDS = ("elementwise", "locked")


def on_a_mesh() -> bool:
    """Returns whether what is traced here runs on several devices, which `jax.set_mesh` says.

    Rows [T, B] of a batch that is cut along B are no rows [T * B] that are cut: to reshape them there would be to
    gather the batch on every device.
    """
    return not jax.sharding.get_abstract_mesh().empty


def product(x: Array, w: Array) -> Array:
    """x [..., E] @ w [E, H], operands in the type of `w` (bfloat16, if `w` was cast), summed in at least float32.

    As one product of all rows, on one device: of a product with more axes XLA computes the gradient by w from a
    transposed copy.
    """
    accumulate = jnp.promote_types(w.dtype, jnp.float32)
    if on_a_mesh():
        return jnp.matmul(x.astype(w.dtype), w, preferred_element_type=accumulate)
    rows = x.astype(w.dtype).reshape(-1, x.shape[-1])
    return jnp.matmul(rows, w, preferred_element_type=accumulate).reshape(*x.shape[:-1], w.shape[-1])


def cast(w: Array, compute_dtype: str | None) -> Array:
    """Returns the operand of a product in the type that products have; None keeps its own."""
    return w.astype(compute_dtype or w.dtype)


@dataclasses.dataclass(frozen=True)
class Dropout:
    """The shares dropped in a model, each in [0, 1), and how masks are drawn.

    rate: of whatever has no rate of its own. kind: "elementwise", or "locked" in time. input: of embedded inputs.
    layer: between layers. output: of outputs. embedding: of the vocabulary entries that are dropped from a call.
    Raises UserError for a rate out of range or an unknown kind.
    """

    rate: float = 0.0
    kind: str = "elementwise"
    input: float | None = None
    layer: float | None = None
    output: float | None = None
    embedding: float = 0.0

    def __post_init__(self):
        check_rate("dropout_rate", self.rate)
        check_rate("input_dropout", self.input_rate)
        check_rate("layer_dropout", self.layer_rate)
        check_rate("output_dropout", self.output_rate)
        check_rate("embedding_dropout", self.embedding)
        if self.kind not in DROPOUT_KINDS:
            raise UserError(
                f"dropout_kind must be one of {', '.join(DROPOUT_KINDS)}, got {self.kind!r}", ["dropout_kind"]
            )

    @property
    def input_rate(self) -> float:
        """The share dropped of embedded inputs."""
        return self.rate if self.input is None else self.input

    @property
    def layer_rate(self) -> float:
        """The share dropped between layers."""
        return self.rate if self.layer is None else self.layer

    @property
    def output_rate(self) -> float:
        """The share dropped of outputs."""
        return self.rate if self.output is None else self.output


def dropout(key: Key | None, rate: float, x: Array, kind: str = "elementwise") -> Array:
    """Sets a share of an array's entries to zero and divides the others by 1 - rate.

    Args:
        key: of the mask. None, in evaluation, leaves the array as it is.
        rate: the share.
        x: the array; with "locked" its axis 0 is time.
        kind: "elementwise" draws every entry anew; "locked" draws one mask [1, *B, H] for all of axis 0, the
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
    """Sets a share of a table's rows to zero and divides the others by 1 - rate.

    Args:
        key: of the mask. None, in evaluation, leaves the table as it is.
        rate: the share.
        table: such as an embedding.
    """
    if key is None or rate == 0.0:
        return table
    keep = jax.random.bernoulli(key, 1.0 - rate, (table.shape[0], 1))
    return jnp.where(keep, table / (1.0 - rate), 0.0).astype(table.dtype)


def layer_norm(x: Float[Array, "*N H"], scale: Float[Array, "H"], offset: Float[Array, "H"]) -> Float[Array, "*N H"]:
    """Applies layer normalisation (Ba et al. 2016): over the last axis to mean 0 and variance 1, then scale and offset.

    y = scale * (x - mean(x)) / sqrt(var(x) + 1e-5) + offset, with var the mean squared deviation.

    Args:
        x: the features.
        scale: a factor for each feature.
        offset: a summand for each feature.
    """
    deviation = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(deviation), axis=-1, keepdims=True)
    return scale * deviation * jax.lax.rsqrt(variance + 1e-5) + offset


def rms_norm(x: Float[Array, "*N H"], scale: Float[Array, "H"]) -> Float[Array, "*N H"]:
    """Divides by the root mean square (Zhang & Sennrich 2019, arXiv:1910.07467): scale * x / sqrt(mean(x^2) + 1e-5).

    Args:
        x: the features.
        scale: a factor for each feature.
    """
    return scale * x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-5)


def target_log_probs(logits: Float[Array, "*N V"], targets: Int[Array, "*N"]) -> Float[Array, "*N"]:
    """Returns log softmax(logits)[target]: the target's logit less the logsumexp,
    never the log-softmax of everything."""
    target_logits = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return target_logits - jax.nn.logsumexp(logits, axis=-1)


def softmax_log_probs(
    ys: Float[Array, "*N H"], w: Float[Array, "H V"], b: Float[Array, "V"], targets: Int[Array, "*N"], logits_limit: int
) -> Float[Array, "*N"]:
    """Computes log softmax(ys w + b)[targets].

    Where the logits would pass the limit, it works in pieces, which are recomputed for the gradient. The limit is that
    of one device. On several devices the pieces are of time, axis 0, and not of rows.

    Args:
        ys: hidden vectors.
        w: weights.
        b: biases.
        targets: an entry for each vector.
        logits_limit: bytes of logits above which it works in pieces.

    Returns:
        Nats, a number for each vector.
    """
    itemsize, devices = jnp.promote_types(w.dtype, jnp.float32).itemsize, jax.sharding.get_abstract_mesh().size
    rows = targets.shape[0] if on_a_mesh() else targets.size
    pieces = min(rows, math.ceil(targets.size * w.shape[1] * itemsize / (logits_limit * max(1, devices))))
    if pieces <= 1:
        return target_log_probs(product(ys, w) + b, targets)
    shape = targets.shape
    if not on_a_mesh():
        ys, targets = ys.reshape(rows, -1), targets.reshape(-1)
    per_piece = math.ceil(rows / pieces)

    def cut(array):
        padding = [(0, pieces * per_piece - rows)] + [(0, 0)] * (array.ndim - 1)
        return jnp.pad(array, padding).reshape(pieces, per_piece, *array.shape[1:])

    piece = jax.checkpoint(lambda operands: target_log_probs(product(operands[0], w) + b, operands[1]))
    result = jax.lax.map(piece, (cut(ys), cut(targets)))
    return result.reshape(-1, *targets.shape[1:])[:rows].reshape(shape)
