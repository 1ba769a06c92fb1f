"""The real-gated linear recurrent unit of Griffin (De et al. 2024, arXiv:2402.19427, section 2.4).

    u_t = x_t W_x + b_x                                           the input, brought to H numbers
    r_t = sigmoid(u_t W_r + b_r)        i_t = sigmoid(u_t W_i + b_i)
    a_t = sigmoid(Lambda)^(8 r_t)                                 computed as exp(-8 softplus(-Lambda) r_t)
    h_t = a_t * h_{t-1} + sqrt(1 - a_t^2) * (i_t * u_t)           y_t = h_t

r slows forgetting down, up to keeping the state; sqrt(1 - a^2) keeps the variance of the state whatever a is. Lambda
begins so that sigmoid(Lambda)^8 is uniform on (0.9, 0.999). The paper's layer has a convolution over time before it:
`convolution` (lm_jax/cells/convolution.py). Its gates are block-diagonal for the hardware's sake; here they are full.
Shapes: x [*B, E], u, h [*B, H], w_x [E, H], w_gates [H, 2H] with r, i side by side, lambda_ [H].
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell, Observed
from lm_jax.cells.convolution import convolved
from lm_jax.cells.linear import Terms, linear_cell
from lm_jax.cells.saturation import saturated_share
from lm_jax.cells.varying import state_dtype
from lm_jax.errors import check_sizes
from lm_jax.initializers import Initializer, by_gate, lecun_normal, zeros
from lm_jax.layers import cast, product


SLOWDOWN = 8.0  # c of the paper
SMALLEST = 1e-12  # of 1 - a^2, whose root has no derivative at 0


@struct.dataclass
class RGLRUParams:
    """w_x [E, H], b_x [H]: the input. w_gates [H, 2H], b_gates [2H]: recurrence gate, input gate. lambda_ [H]."""

    w_x: Float[Array, "E H"]
    b_x: Float[Array, "H"]
    w_gates: Float[Array, "H 2*H"]
    b_gates: Float[Array, "2*H"]
    lambda_: Float[Array, "H"]


@cached
def rglru(
    input_size: int,
    hidden_size: int,
    *,
    convolution: int = 0,
    w_x_init: Initializer = lecun_normal,
    b_init: Initializer = zeros,
    compute_dtype: str | None = None,
    recurrence: str = "auto",
) -> Cell:
    """Makes a real-gated linear recurrent unit; the carry is h [*B, H], with a convolution its window too.

    Args:
        input_size: E.
        hidden_size: H.
        convolution: Steps that a convolution over time before the unit sees, 4 in the paper; 0 for none.
        w_x_init: Initial weights, block by block.
        b_init: Initial biases.
        compute_dtype: The type of the operands of the products; None keeps the parameters' own.
        recurrence: "scan", "associative" or "auto" (lm_jax/cells/linear.py).

    Raises:
        UserError: For a size below 1, a convolution below 0 and an unknown recurrence.
    """
    check_sizes(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_x, key_g, key_bx, key_bg, key_a = jax.random.split(key, 5)
        decay = jax.random.uniform(key_a, (hidden_size,), jnp.float32, minval=0.9, maxval=0.999)
        root = decay ** (1 / SLOWDOWN)
        return RGLRUParams(
            w_x=w_x_init(key_x, (input_size, hidden_size), jnp.float32),
            b_x=b_init(key_bx, (hidden_size,), jnp.float32),
            w_gates=by_gate(w_x_init, key_g, hidden_size, hidden_size, 2),
            b_gates=b_init(key_bg, (2 * hidden_size,), jnp.float32),
            lambda_=jnp.log(root) - jnp.log1p(-root),
        )

    def initial_carry(params, batch_shape):
        return jnp.zeros((*batch_shape, hidden_size), state_dtype(params.b_x))

    def opened(params, xs):
        u = product(xs, cast(params.w_x, compute_dtype)) + params.b_x
        gates = jax.nn.sigmoid(product(u, cast(params.w_gates, compute_dtype)) + params.b_gates)
        return u, *jnp.split(gates, 2, axis=-1)

    def terms(params, xs):
        u, r, i = opened(params, xs)
        log_a = -SLOWDOWN * jax.nn.softplus(-params.lambda_) * r
        return Terms(jnp.exp(log_a), jnp.sqrt(jnp.maximum(-jnp.expm1(2 * log_a), SMALLEST)) * i * u)

    def observe_step(params, x):
        _, r, i = opened(params, x)
        return Observed({"recurrence": r, "input": i}, {}, saturated_share((r, i), ()))

    cell = linear_cell(
        init,
        initial_carry,
        terms,
        input_size,
        hidden_size,
        recurrence=recurrence,
        observe_step=observe_step,
    )
    return convolved(cell, convolution)
