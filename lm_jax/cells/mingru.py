"""The minimal GRU (Feng et al. 2024, arXiv:2410.01201, algorithms 5 to 7): a GRU whose gate does not read the state.

    z_t = sigmoid(x_t W_z + b_z)
    n_t = g(x_t W_n + b_n)                        g(a) = a + 1/2 where a >= 0, else sigmoid(a)
    h_t = (1 - z_t) * h_{t-1} + z_t * n_t         y_t = h_t

Without h in the gates the recurrence is linear in h, and its steps are a parallel prefix. g is that of the paper's form
in log space: it is positive, so that all states are, and the paper's code can add their logarithms. Here the decays
1 - z are multiplied, which are below 1: a prefix of any length may reach 0, where it is right, and never overflows.
Shapes: x [*B, E], h [*B, H], w_x [E, 2H] with z, n side by side, b [2H].
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell, Observed
from lm_jax.cells.linear import Terms, linear_cell
from lm_jax.cells.saturation import saturated_share
from lm_jax.cells.varying import state_dtype
from lm_jax.errors import check_sizes
from lm_jax.initializers import Initializer, by_gate, lecun_normal, zeros
from lm_jax.layers import cast, product


@struct.dataclass
class MinGRUParams:
    """w_x [E, G], b [G] of G = 2H: gate z, new content n."""

    w_x: Float[Array, "E G"]
    b: Float[Array, "G"]


def positive(a: Float[Array, "..."]) -> Float[Array, "..."]:
    """a + 1/2 where a is not negative, else sigmoid(a): continuous, positive, never saturated above."""
    return jnp.where(a >= 0, jnp.maximum(a, 0) + 0.5, jax.nn.sigmoid(a))


@cached
def mingru(
    input_size: int,
    hidden_size: int,
    *,
    w_x_init: Initializer = lecun_normal,
    b_init: Initializer = zeros,
    compute_dtype: str | None = None,
    recurrence: str = "auto",
) -> Cell:
    """Makes a minimal gated recurrent unit; the carry is h [*B, H].

    Args:
        input_size: E.
        hidden_size: H.
        w_x_init: Initial weights, gate by gate.
        b_init: Initial biases.
        compute_dtype: The type of the operands of the products; None keeps the parameters' own.
        recurrence: "scan", "associative" or "auto" (lm_jax/cells/linear.py).

    Raises:
        UserError: For a size below 1 and an unknown recurrence.
    """
    check_sizes(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_x, key_b = jax.random.split(key)
        return MinGRUParams(
            by_gate(w_x_init, key_x, input_size, hidden_size, 2), b_init(key_b, (2 * hidden_size,), jnp.float32)
        )

    def initial_carry(params, batch_shape):
        return jnp.zeros((*batch_shape, hidden_size), state_dtype(params.b))

    def opened(params, xs):
        a_z, a_n = jnp.split(product(xs, cast(params.w_x, compute_dtype)) + params.b, 2, axis=-1)
        return a_z, positive(a_n)

    def terms(params, xs):
        a_z, n = opened(params, xs)
        return Terms(jax.nn.sigmoid(-a_z), jax.nn.sigmoid(a_z) * n)

    def observe_step(params, x):
        keep = jax.nn.sigmoid(-opened(params, x)[0])
        return Observed({"update": keep}, {}, saturated_share((keep,), ()))

    return linear_cell(
        init,
        initial_carry,
        terms,
        input_size,
        hidden_size,
        recurrence=recurrence,
        observe_step=observe_step,
    )
