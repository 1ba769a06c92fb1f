"""The mLSTM (Beck et al. 2024, arXiv:2405.04517, section 2.3): a matrix memory of keys and values, exponential gates.

    q_t = x_t W_q        k_t = x_t W_k / sqrt(D)        v_t = x_t W_v            for each head, D = H / heads
    C_t = f_t C_{t-1} + i_t v_t k_t^T        n_t = f_t n_{t-1} + i_t k_t         i = exp(a_i), f = sigmoid(a_f)
    y_t = sigmoid(x_t W_o + b_o) * C_t q_t / max(|n_t . q_t|, 1)

exp(a_i) overflows: C and n are kept divided by exp(m), and the 1 becomes exp(-m), with

    m_t = max(log f_t + m_{t-1}, a_i)

In a chunk, with F_t the sum of log f up to step t and m_0 that of the memory before it (engines/chunkwise.py):

    m_t = max(F_t + m_0, max_s F_t - F_s + a_i,s)        the same numbers as one after the other
    C_t q_t = exp(F_t + m_0 - m_t) C_0 q_t + sum_s exp(F_t - F_s + a_i,s - m_t) (k_s . q_t) v_s

Shapes: x [*B, E], C [*B, heads, D, D], n [*B, heads, D], m [*B, heads]; w_x [E, 4H] with q, k, v, o side by side.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell, Observed
from lm_jax.cells.engines.chunkwise import Chunk
from lm_jax.cells.heads import head_size
from lm_jax.cells.matrix_memory import matrix_memory_cell, pairs, split_heads
from lm_jax.cells.saturation import saturated_share
from lm_jax.cells.varying import state_dtype
from lm_jax.initializers import Initializer, by_gate, lecun_normal, zeros
from lm_jax.layers import cast, product


LOWEST = -1e30  # the logarithm of the weight of a step that is none
LARGEST = 80.0  # exp of it is a number in float32


@struct.dataclass
class MLSTMParams:
    """w_x [E, 4H]: query, key, value, output gate; b_o [H]; w_gates [E, F], b_gates [F]: input, forget."""

    w_x: Float[Array, "E G"]
    b_o: Float[Array, "H"]
    w_gates: Float[Array, "E F"]
    b_gates: Float[Array, "F"]


class MLSTMCarry(NamedTuple):
    """The matrix C [*B, heads, D, D] and the normaliser n [*B, heads, D], both divided by exp(m); m [*B, heads]."""

    memory: Float[Array, "*B heads D D"]
    normaliser: Float[Array, "*B heads D"]
    m: Float[Array, "*B heads"]


class Written(NamedTuple):
    """What a step needs: q, k, v [..., heads, D], log f and a_i [..., heads]."""

    q: Array
    k: Array
    v: Array
    log_f: Array
    log_i: Array


def _read_out(numerator, denominator, m):
    floor = jnp.exp(jnp.minimum(-m, LARGEST))
    return numerator / jnp.maximum(jnp.abs(denominator), floor)[..., None]


def recur(carry: MLSTMCarry, written: Written) -> tuple[MLSTMCarry, Array]:
    """One step."""
    q, k, v, log_f, log_i = written
    m = jnp.maximum(log_f + carry.m, log_i)
    f, i = jnp.exp(log_f + carry.m - m), jnp.exp(log_i - m)
    memory = f[..., None, None] * carry.memory + (i[..., None] * v)[..., None] * k[..., None, :]
    normaliser = f[..., None] * carry.normaliser + i[..., None] * k
    numerator = jnp.einsum("...vk,...k->...v", memory, q)
    return MLSTMCarry(memory, normaliser, m), _read_out(numerator, jnp.sum(normaliser * q, axis=-1), m)


def of_chunk(carry: MLSTMCarry, chunk: Chunk) -> tuple[MLSTMCarry, Array]:
    """A chunk of steps."""
    q, k, v, log_f, log_i = chunk.inputs
    log_f = jnp.where(chunk.real[..., None], log_f, 0.0)
    total = jnp.cumsum(log_f, axis=0)
    between = total[:, None] - total[None] + log_i[None]
    between = jnp.where(chunk.reaches()[..., None], between, LOWEST)
    first = chunk.first_steps()[..., None]
    begun = jnp.take_along_axis(total - log_f, jnp.maximum(first, 0), axis=0)  # of a new segment, whose m began at 0
    from_start = jnp.where(first < 0, total + carry.m, total - begun)
    m = jnp.maximum(from_start, jnp.max(between, axis=1))
    of_memory = jnp.where(chunk.from_memory()[..., None], jnp.exp(from_start - m), 0.0)
    weights = jnp.exp(between - m[:, None])
    scores = weights * pairs(q, k)
    numerator = of_memory[..., None] * jnp.einsum("...vk,t...k->t...v", carry.memory, q)
    numerator += jnp.einsum("ts...,s...v->t...v", scores, v)
    denominator = of_memory * jnp.einsum("...k,t...k->t...", carry.normaliser, q) + jnp.sum(scores, axis=1)
    last = weights[-1][..., None] * k
    memory = of_memory[-1][..., None, None] * carry.memory + jnp.einsum("s...v,s...k->...vk", v, last)
    normaliser = of_memory[-1][..., None] * carry.normaliser + jnp.sum(last, axis=0)
    return MLSTMCarry(memory, normaliser, m[-1]), _read_out(numerator, denominator, m)


@cached
def mlstm(
    input_size: int,
    hidden_size: int,
    *,
    heads: int = 1,
    forget_bias: float = 3.0,
    w_x_init: Initializer = lecun_normal,
    b_init: Initializer = zeros,
    compute_dtype: str | None = None,
    recurrence: str = "auto",
) -> Cell:
    """Makes an mLSTM; the carry is an `MLSTMCarry` of H (D + 1) + heads numbers.

    Args:
        input_size: E.
        hidden_size: H.
        heads: Memories side by side; must divide H.
        forget_bias: Of the forget gates, at the start.
        w_x_init: Initial weights, block by block.
        b_init: Initial biases, to which `forget_bias` is added in the forget gates.
        compute_dtype: The type of the operands of the products with weights; None keeps the parameters' own.
        recurrence: "scan", "chunkwise" or "auto" (lm_jax/cells/matrix_memory.py).

    Raises:
        UserError: For a size below 1, heads that do not divide H, and an unknown recurrence.
    """
    size = head_size(input_size, hidden_size, heads)

    def init(key):
        key_x, key_o, key_g, key_b = jax.random.split(key, 4)
        return MLSTMParams(
            by_gate(w_x_init, key_x, input_size, hidden_size, 4),
            b_init(key_o, (hidden_size,), jnp.float32),
            by_gate(w_x_init, key_g, input_size, heads, 2),
            b_init(key_b, (2 * heads,), jnp.float32).at[heads:].add(forget_bias),
        )

    def initial_carry(params, batch_shape):
        shape, dtype = (*batch_shape, heads, size), state_dtype(params.b_o)
        return MLSTMCarry(jnp.zeros((*shape, size), dtype), jnp.zeros(shape, dtype), jnp.zeros(shape[:-1], dtype))

    def read(params, xs):
        w = cast(params.w_x[:, : 3 * hidden_size], compute_dtype)
        q, k, v = (split_heads(a, heads) for a in jnp.split(product(xs, w), 3, axis=-1))
        a_i, a_f = jnp.split(product(xs, cast(params.w_gates, compute_dtype)) + params.b_gates, 2, axis=-1)
        return Written(q, k * size**-0.5, v, jax.nn.log_sigmoid(a_f), a_i)

    def output_gate(params, xs):
        return jax.nn.sigmoid(product(xs, cast(params.w_x[:, 3 * hidden_size :], compute_dtype)) + params.b_o)

    def finish(params: Any, xs: Array, out: Array) -> Array:
        return output_gate(params, xs) * out.reshape(*out.shape[:-2], hidden_size)

    def observe_step(params, x):
        gates = {
            "forget": jnp.repeat(jnp.exp(read(params, x).log_f), size, axis=-1),
            "output": output_gate(params, x),
        }
        return Observed(gates, {}, saturated_share(tuple(gates.values()), ()))

    return matrix_memory_cell(
        init,
        initial_carry,
        read,
        recur,
        of_chunk,
        finish,
        input_size,
        hidden_size,
        recurrence=recurrence,
        observe_step=observe_step,
    )
