"""The minimal LSTM (Feng et al. 2024, arXiv:2410.01201, algorithms 7 and 8): gates that do not read the state.

    f_t = sigmoid(x_t W_f + b_f)        i_t = sigmoid(x_t W_i + b_i)        n_t = g(x_t W_n + b_n)
    f'_t = f_t / (f_t + i_t)            i'_t = i_t / (f_t + i_t)
    h_t = f'_t * h_{t-1} + i'_t * n_t                                       y_t = h_t

The two gates are scaled to add up to 1, and there is no output gate: the state is a weighted mean of what was written.
f' is computed as sigmoid(log f - log i), which is the same and has no quotient of numbers that may both be 0. g is that
of the minimal GRU (lm_jax/cells/mingru.py).
Shapes: x [*B, E], h [*B, H], w_x [E, 3H] with f, i, n side by side, b [3H].
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell, Observed
from lm_jax.cells.linear import Terms, linear_cell
from lm_jax.cells.mingru import positive
from lm_jax.cells.saturation import saturated_share
from lm_jax.cells.varying import state_dtype
from lm_jax.errors import check_sizes
from lm_jax.initializers import Initializer, by_gate, lecun_normal, zeros
from lm_jax.layers import cast, product


@struct.dataclass
class MinLSTMParams:
    """w_x [E, G], b [G] of G = 3H: forget gate, input gate, new content."""

    w_x: Float[Array, "E G"]
    b: Float[Array, "G"]


@cached
def minlstm(
    input_size: int,
    hidden_size: int,
    *,
    w_x_init: Initializer = lecun_normal,
    b_init: Initializer = zeros,
    forget_bias: float = 1.0,
    compute_dtype: str | None = None,
    recurrence: str = "auto",
) -> Cell:
    """Makes a minimal long short-term memory; the carry is h [*B, H].

    Args:
        input_size: E.
        hidden_size: H.
        w_x_init: Initial weights, gate by gate.
        b_init: Initial biases, to which `forget_bias` is added in the forget gate.
        forget_bias: Of the forget gate, at the start.
        compute_dtype: The type of the operands of the products; None keeps the parameters' own.
        recurrence: "scan", "associative" or "auto" (lm_jax/cells/linear.py).

    Raises:
        UserError: For a size below 1 and an unknown recurrence.
    """
    check_sizes(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_x, key_b = jax.random.split(key)
        b = b_init(key_b, (3 * hidden_size,), jnp.float32).at[:hidden_size].add(forget_bias)
        return MinLSTMParams(by_gate(w_x_init, key_x, input_size, hidden_size, 3), b)

    def initial_carry(params, batch_shape):
        return jnp.zeros((*batch_shape, hidden_size), state_dtype(params.b))

    def opened(params, xs):
        a_f, a_i, a_n = jnp.split(product(xs, cast(params.w_x, compute_dtype)) + params.b, 3, axis=-1)
        return jax.nn.log_sigmoid(a_f) - jax.nn.log_sigmoid(a_i), positive(a_n)

    def terms(params, xs):
        odds, n = opened(params, xs)
        return Terms(jax.nn.sigmoid(odds), jax.nn.sigmoid(-odds) * n)

    def observe_step(params, x):
        forget = jax.nn.sigmoid(opened(params, x)[0])
        return Observed({"forget": forget, "input": 1 - forget}, {}, saturated_share((forget,), ()))

    return linear_cell(
        init,
        initial_carry,
        terms,
        input_size,
        hidden_size,
        recurrence=recurrence,
        observe_step=observe_step,
    )
