"""Gated DeltaNet (Yang et al. 2024, arXiv:2412.06464): a matrix memory that corrects what it holds under a key.

    q_t, k_t = silu(x_t W) / norm        v_t = silu(x_t W_v)                     for each head, D = H / heads
    alpha_t = exp(-exp(A) softplus(x_t w_a + b_a))        beta_t = beta_max sigmoid(x_t w_b + b_b)
    S_t = alpha_t S_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T              y_t = S_t q_t / sqrt(D)

A step has the eigenvalues alpha and, along k, alpha (1 - beta): with beta_max = 2 they can be negative, which parity
and other tasks of tracking a state need (Grazzi et al. 2024, arXiv:2411.12537); with beta_max = 1 they cannot.

In a chunk, with g_t the product of alpha up to step t and u_t what step t writes, S_t = alpha_t S_{t-1} + u_t k_t^T:

    u_t + beta_t sum_{s<t} (g_t / g_s) (k_s . k_t) u_s = beta_t (v_t - g_t S_0 k_t)        one triangular system
    S_t q_t = g_t S_0 q_t + sum_{s<=t} (g_t / g_s) (k_s . q_t) u_s

Shapes: x [*B, E], S [*B, heads, D, D] of values by keys; w_x [E, 3H] with q, k, v; w_gates [E, 2 heads].
"""

from typing import NamedTuple

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
from lm_jax.errors import UserError
from lm_jax.initializers import Initializer, by_gate, lecun_normal, zeros
from lm_jax.layers import cast, product


@struct.dataclass
class GatedDeltaNetParams:
    """w_x [E, G]: query, key, value; w_gates [E, F], b_gates [F]: decay, writing; a [heads]."""

    w_x: Float[Array, "E G"]
    w_gates: Float[Array, "E F"]
    b_gates: Float[Array, "F"]
    a: Float[Array, "heads"]


class GatedDeltaNetCarry(NamedTuple):
    """The matrix S of values by keys."""

    memory: Float[Array, "*B heads D D"]


class Written(NamedTuple):
    """What a step needs: q, k, v [..., heads, D], log alpha and beta [..., heads]."""

    q: Array
    k: Array
    v: Array
    log_alpha: Array
    beta: Array


def recur(carry: GatedDeltaNetCarry, written: Written) -> tuple[GatedDeltaNetCarry, Array]:
    """One step."""
    q, k, v, log_alpha, beta = written
    decayed = jnp.exp(log_alpha)[..., None, None] * carry.memory
    u = beta[..., None] * (v - jnp.einsum("...vk,...k->...v", decayed, k))
    memory = decayed + u[..., None] * k[..., None, :]
    return GatedDeltaNetCarry(memory), jnp.einsum("...vk,...k->...v", memory, q)


def of_chunk(carry: GatedDeltaNetCarry, chunk: Chunk) -> tuple[GatedDeltaNetCarry, Array]:
    """A chunk of steps."""
    (memory,) = carry
    q, k, v, log_alpha, beta = chunk.inputs
    log_alpha, beta = (jnp.where(chunk.real[..., None], a, 0.0) for a in (log_alpha, beta))
    total = jnp.cumsum(log_alpha, axis=0)
    reaches = chunk.reaches()[..., None]
    ratio = jnp.where(reaches, jnp.exp(jnp.where(reaches, total[:, None] - total[None], 0.0)), 0.0)
    of_memory = jnp.where(chunk.from_memory()[..., None], jnp.exp(total), 0.0)
    held = of_memory[..., None] * jnp.einsum("...vk,t...k->t...v", memory, k)
    u = _solve(beta[:, None] * ratio * pairs(k, k), beta[..., None] * (v - held))
    out = of_memory[..., None] * jnp.einsum("...vk,t...k->t...v", memory, q)
    out += jnp.einsum("ts...,s...v->t...v", ratio * pairs(q, k), u)
    memory = of_memory[-1][..., None, None] * memory
    memory += jnp.einsum("s...v,s...k->...vk", u, ratio[-1][..., None] * k)
    return GatedDeltaNetCarry(memory), out


def _solve(lower, right):
    """u of u_t + sum_{s<t} lower[t, s] u_s = right_t."""
    matrices, columns = jnp.moveaxis(lower, (0, 1), (-2, -1)), jnp.moveaxis(right, 0, -2)
    u = jax.scipy.linalg.solve_triangular(matrices, columns, lower=True, unit_diagonal=True)
    return jnp.moveaxis(u, -2, 0)


@cached
def gated_deltanet(
    input_size: int,
    hidden_size: int,
    *,
    heads: int = 1,
    beta_max: float = 2.0,
    w_x_init: Initializer = lecun_normal,
    b_init: Initializer = zeros,
    compute_dtype: str | None = None,
    recurrence: str = "auto",
) -> Cell:
    """Makes a gated DeltaNet; the carry is a `GatedDeltaNetCarry` of H D numbers.

    Args:
        input_size: E.
        hidden_size: H.
        heads: Memories side by side; must divide H.
        beta_max: Largest beta, above 0 and at most 2; above 1 there are negative eigenvalues.
        w_x_init: Initial weights, block by block.
        b_init: Initial biases.
        compute_dtype: The type of the operands of the products with weights; None keeps the parameters' own.
        recurrence: "scan", "chunkwise" or "auto" (lm_jax/cells/matrix_memory.py).

    Raises:
        UserError: For a size below 1, heads that do not divide H, beta_max out of its range, an unknown recurrence.
    """
    size = head_size(input_size, hidden_size, heads)
    if not 0 < beta_max <= 2:
        raise UserError(f"beta_max must be above 0 and at most 2, got {beta_max}", ["beta_max"])

    def init(key):
        key_x, key_g, key_b = jax.random.split(key, 3)
        return GatedDeltaNetParams(
            by_gate(w_x_init, key_x, input_size, hidden_size, 3),
            by_gate(w_x_init, key_g, input_size, heads, 2),
            b_init(key_b, (2 * heads,), jnp.float32).at[:heads].add(-4.0),  # softplus of it: decays near 0.98
            jnp.zeros((heads,), jnp.float32),
        )

    def initial_carry(params, batch_shape):
        return GatedDeltaNetCarry(jnp.zeros((*batch_shape, heads, size, size), state_dtype(params.a)))

    def read(params, xs):
        x = jax.nn.silu(product(xs, cast(params.w_x, compute_dtype)))
        q, k, v = (split_heads(a, heads) for a in jnp.split(x, 3, axis=-1))
        a_a, a_b = jnp.split(product(xs, cast(params.w_gates, compute_dtype)) + params.b_gates, 2, axis=-1)
        log_alpha = -jnp.exp(params.a) * jax.nn.softplus(a_a)
        return Written(_unit(q) * size**-0.5, _unit(k), v, log_alpha, beta_max * jax.nn.sigmoid(a_b))

    def observe_step(params, x):
        written = read(params, x)
        by_head = {"forget": jnp.exp(written.log_alpha), "input": written.beta / beta_max}
        gates = {name: jnp.repeat(gate, size, axis=-1) for name, gate in by_head.items()}
        return Observed(gates, {}, saturated_share((gates["input"],), ()))

    return matrix_memory_cell(
        init,
        initial_carry,
        read,
        recur,
        of_chunk,
        lambda params, xs, out: out.reshape(*out.shape[:-2], hidden_size),
        input_size,
        hidden_size,
        recurrence=recurrence,
        observe_step=observe_step,
    )


def _unit(a):
    return a * jax.lax.rsqrt(jnp.sum(a * a, axis=-1, keepdims=True) + 1e-6)
