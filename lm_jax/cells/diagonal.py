"""GRU and LSTM whose recurrent matrices are diagonals (Danieli et al. 2025, arXiv:2510.21450): units see themselves.

    GRU     r = sigmoid(x W_r + a_r * h + b_r)        z = sigmoid(x W_z + a_z * h + b_z)
            n = tanh(x W_n + a_n * (r * h) + b_n)     h' = (1 - z) * n + z * h
    LSTM    i, f, o = sigmoid(x W + a * h + b)        g = tanh(x W_g + a_g * h + b_g)
            c' = f * c + i * g                        h' = o * tanh(c')

The step has no product of matrices, and its Jacobian is a diagonal, for the LSTM one of 2 x 2 blocks: though it is not
linear, such a recurrence can be solved for all steps at once by Newton's method at the price of a few linear ones.
Shapes: x [*B, E], h [*B, H], w_x [E, kH], a and b [kH] with the k gates side by side: r, z, n; or i, f, g, o.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell, Observed, hoisted_cell
from lm_jax.cells.lstm import LSTMCarry
from lm_jax.cells.saturation import saturated_share
from lm_jax.cells.varying import state_dtype
from lm_jax.errors import check_sizes
from lm_jax.initializers import Initializer, by_gate, lecun_normal, uniform, zeros
from lm_jax.layers import cast, product


DIAGONAL = uniform(1.0)


@struct.dataclass
class DiagonalParams:
    """w_x [E, kH] the input, a [kH] the diagonals of the recurrent matrices, b [kH]."""

    w_x: Float[Array, "E kH"]
    a: Float[Array, "kH"]
    b: Float[Array, "kH"]


def _draw(key, input_size, hidden_size, gates, w_x_init, a_init, b_init):
    key_x, key_a, key_b = jax.random.split(key, 3)
    shape = (gates * hidden_size,)
    return DiagonalParams(
        by_gate(w_x_init, key_x, input_size, hidden_size, gates),
        a_init(key_a, shape, jnp.float32),
        b_init(key_b, shape, jnp.float32),
    )


def _project(compute_dtype):
    return lambda params, xs: product(xs, cast(params.w_x, compute_dtype)) + params.b


@cached
def diagonal_gru(
    input_size: int,
    hidden_size: int,
    *,
    w_x_init: Initializer = lecun_normal,
    a_init: Initializer = DIAGONAL,
    b_init: Initializer = zeros,
    compute_dtype: str | None = None,
) -> Cell:
    """Makes a gated recurrent unit with diagonal recurrence, the reset gate before the product; the carry is h [*B, H].

    Args:
        input_size: E.
        hidden_size: H.
        w_x_init: Initial input weights, gate by gate.
        a_init: Initial diagonals.
        b_init: Initial biases.
        compute_dtype: The type of the operands of the products; None keeps the parameters' own.

    Raises:
        UserError: For a size below 1.
    """
    check_sizes(input_size=input_size, hidden_size=hidden_size)

    def gates(a, h, projected):
        a_r, a_z, a_n = jnp.split(a, 3)
        x_r, x_z, x_n = jnp.split(projected, 3, axis=-1)
        r, z = jax.nn.sigmoid(x_r + a_r * h), jax.nn.sigmoid(x_z + a_z * h)
        return r, z, jnp.tanh(x_n + a_n * (r * h))

    def recur(a, h, projected):
        _, z, n = gates(a, h, projected)
        h = (1 - z) * n + z * h
        return h, h

    def observe_step(params, a, h, projected):
        r, z, n = gates(a, h, projected)
        names = zip(("reset", "update", "candidate"), jnp.split(params.a, 3), strict=True)
        return Observed({"reset": r, "update": z}, {k: jnp.diag(v) for k, v in names}, saturated_share((r, z), (n,)))

    return hoisted_cell(
        init=lambda key: _draw(key, input_size, hidden_size, 3, w_x_init, a_init, b_init),
        initial_carry=lambda params, batch_shape: jnp.zeros((*batch_shape, hidden_size), state_dtype(params.a)),
        project=_project(compute_dtype),
        recurrent_weights=lambda params: params.a,
        recur=recur,
        input_size=input_size,
        output_size=hidden_size,
        observe_step=observe_step,
    )


@cached
def diagonal_lstm(
    input_size: int,
    hidden_size: int,
    *,
    forget_bias: float = 1.0,
    w_x_init: Initializer = lecun_normal,
    a_init: Initializer = DIAGONAL,
    b_init: Initializer = zeros,
    compute_dtype: str | None = None,
) -> Cell:
    """Makes a long short-term memory with diagonal recurrence; the carry is an `LSTMCarry`.

    Args:
        input_size: E.
        hidden_size: H.
        forget_bias: Of the forget gate, at the start.
        w_x_init: Initial input weights, gate by gate.
        a_init: Initial diagonals.
        b_init: Initial biases, to which `forget_bias` is added in the forget gate.
        compute_dtype: The type of the operands of the products; None keeps the parameters' own.

    Raises:
        UserError: For a size below 1.
    """
    check_sizes(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        params = _draw(key, input_size, hidden_size, 4, w_x_init, a_init, b_init)
        b = params.b.at[hidden_size : 2 * hidden_size].add(forget_bias)
        return DiagonalParams(params.w_x, params.a, b)

    def initial_carry(params, batch_shape):
        shape, dtype = (*batch_shape, hidden_size), state_dtype(params.a)
        return LSTMCarry(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

    def gates(a, h, projected):
        i, f, g, o = jnp.split(projected + a * jnp.concatenate([h] * 4, axis=-1), 4, axis=-1)
        return jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)

    def recur(a, carry, projected):
        i, f, g, o = gates(a, carry.h, projected)
        c = f * carry.c + i * g
        h = o * jnp.tanh(c)
        return LSTMCarry(h, c), h

    def observe_step(params, a, carry, projected):
        i, f, g, o = gates(a, carry.h, projected)
        names = zip(("input", "forget", "candidate", "output"), jnp.split(params.a, 4), strict=True)
        matrices = {k: jnp.diag(v) for k, v in names}
        return Observed({"input": i, "forget": f, "output": o}, matrices, saturated_share((i, f, o), (g,)))

    return hoisted_cell(
        init=init,
        initial_carry=initial_carry,
        project=_project(compute_dtype),
        recurrent_weights=lambda params: params.a,
        recur=recur,
        input_size=input_size,
        output_size=hidden_size,
        observe_step=observe_step,
    )
