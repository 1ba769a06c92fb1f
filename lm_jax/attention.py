"""Attention: what of a memory a state asks for, as weights over its positions and their mean.

    a_s = softmax_s(score(q, m_s))                 over the real positions s alone
    c   = sum_s a_s m_s                            [E]

    additive         score(q, m) = v . tanh(q W_q + m W_m)       Bahdanau et al. 2015, appendix A.1.2
    multiplicative   score(q, m) = q . (m W)                     Luong et al. 2015, section 3.1, "general"

What depends on the memory alone is computed once, by `read`; `attend` then answers any number of queries. A masked
position has weight 0, whatever stands there, and no gradient comes from it; a row without any real position has weights
and context of zeros.

Shapes: memory [S, *B, E], mask [S, *B] (False is padding), queries [..., *B, H], weights [..., *B, S], context
[..., *B, E]. Axes of queries to the left of *B, such as time, and axes of size 1 in *B, such as one for beams, are
broadcast.
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float

from lm_jax.caching import cached
from lm_jax.cells.base import InitFn
from lm_jax.encoders import check_mask
from lm_jax.errors import check_sizes
from lm_jax.layers import product
from lm_jax.types import Mask, Params


class Source(NamedTuple):
    """A memory made ready for queries: keys [S, *B, A], values [S, *B, E] with zeros at padding, valid [*B, S]."""

    keys: Float[Array, "S *B A"]
    values: Float[Array, "S *B E"]
    valid: Bool[Array, "*B S"]


class ReadFn(Protocol):
    """Makes a memory [S, *B, E] ready for queries; mask [S, *B] says which positions are real, None that all are."""

    def __call__(self, params: Params, memory: Float[Array, "S *B E"], mask: Mask | None = None) -> Source: ...


class AttendFn(Protocol):
    """Queries [..., *B, H] to contexts [..., *B, E] and weights [..., *B, S]."""

    def __call__(self, params: Params, query: Array, source: Source) -> tuple[Array, Array]: ...


class Attention(NamedTuple):
    """An attention: pure functions and the sizes of queries and memory."""

    init: InitFn
    read: ReadFn
    attend: AttendFn
    query_size: int
    memory_size: int


@struct.dataclass
class AdditiveParams:
    """w_query [H, A], w_memory [E, A], v [A]."""

    w_query: Float[Array, "H A"]
    w_memory: Float[Array, "E A"]
    v: Float[Array, "A"]


@struct.dataclass
class MultiplicativeParams:
    """w [E, H]."""

    w: Float[Array, "E H"]


@cached
def additive_attention(query_size: int, memory_size: int, size: int | None = None) -> Attention:
    """Makes the attention of Bahdanau et al. 2015.

    Args:
        query_size: H.
        memory_size: E.
        size: A, units of the hidden layer of the score; default: H.

    Returns:
        The attention.

    Raises:
        UserError: for a size below 1.
    """
    units = query_size if size is None else size
    check_sizes(query_size=query_size, memory_size=memory_size, size=units)

    def init(key):
        draw, keys = jax.nn.initializers.lecun_normal(), jax.random.split(key, 3)
        v = jax.random.normal(keys[2], (units,), jnp.float32) / units**0.5
        w_query, w_memory = (
            draw(k, (rows, units), jnp.float32) for k, rows in zip(keys, (query_size, memory_size), strict=False)
        )
        return AdditiveParams(w_query, w_memory, v)

    def read(params, memory, mask=None):
        return _source(memory, mask, params.w_memory)

    def attend(params, query, source):
        shared = product(query, params.w_query)
        hidden = jnp.tanh(shared[..., None, :] + _before(source.keys))
        return _answer(jnp.einsum("...sa,a->...s", hidden, params.v), source)

    return Attention(init, read, attend, query_size, memory_size)


@cached
def multiplicative_attention(query_size: int, memory_size: int) -> Attention:
    """Makes the attention of Luong et al. 2015 in its general form.

    Args:
        query_size: H.
        memory_size: E.

    Returns:
        The attention.

    Raises:
        UserError: for a size below 1.
    """
    check_sizes(query_size=query_size, memory_size=memory_size)

    def init(key):
        return MultiplicativeParams(jax.nn.initializers.lecun_normal()(key, (memory_size, query_size), jnp.float32))

    def read(params, memory, mask=None):
        return _source(memory, mask, params.w)

    def attend(params, query, source):
        del params
        return _answer(jnp.einsum("...a,s...a->...s", query, source.keys), source)

    return Attention(init, read, attend, query_size, memory_size)


def masked_softmax(scores: Float[Array, "*N S"], valid: Bool[Array, "*N S"]) -> Float[Array, "*N S"]:
    """Returns the softmax over the valid positions of the last axis, zeros elsewhere; zeros alone where none is."""
    scores = jnp.where(valid, scores, -jnp.inf)
    highest = jnp.max(scores, axis=-1, keepdims=True, initial=jnp.finfo(scores.dtype).min)
    # the inner choice keeps -inf out of the derivative of exp, where 0 times it would be NaN
    powers = jnp.where(valid, jnp.exp(jnp.where(valid, scores - jax.lax.stop_gradient(highest), 0.0)), 0.0)
    total = jnp.sum(powers, axis=-1, keepdims=True)
    return powers / jnp.where(total > 0, total, 1.0)


def _source(memory, mask, w):
    check_mask(mask, memory)
    values = memory if mask is None else jnp.where(mask[..., None], memory, 0.0)  # 0 times a NaN would not be 0
    valid = jnp.ones(memory.shape[:-1], bool) if mask is None else jnp.asarray(mask)
    return Source(product(values, w), values, jnp.moveaxis(valid, 0, -1))


def _answer(scores, source):
    weights = masked_softmax(scores, jnp.broadcast_to(source.valid, scores.shape))
    return jnp.einsum("...s,s...e->...e", weights, source.values), weights


def _before(keys):
    """Keys [S, *B, A] as [*B, S, A]."""
    return jnp.moveaxis(keys, 0, -2)
