"""The simple recurrent network (Elman 1990).

    h_t = f(x_t W_x + h_{t-1} W_h + b)        y_t = h_t

f is tanh, relu, sigmoid or the identity. Shapes: x [*B, E], h [*B, H], w_x [E, H], w_h [H, H], b [H].
"""

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell, Observed, hoisted_cell
from lm_jax.cells.engines.pallas import pallas_unroll
from lm_jax.cells.engines.selection import with_recurrence
from lm_jax.cells.rnn.fused import rnn_parts
from lm_jax.cells.rnn.pallas_tpu import rnn_kernel
from lm_jax.cells.saturation import SATURATED
from lm_jax.cells.varying import state_dtype
from lm_jax.errors import check_sizes, one_of
from lm_jax.initializers import Initializer, lecun_normal, orthogonal, zeros
from lm_jax.layers import cast, product


NONLINEARITIES = {"tanh": jnp.tanh, "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "identity": lambda a: a}


@struct.dataclass
class RNNParams:
    """w_x [E, H] input to hidden, w_h [H, H] hidden to hidden, b [H]."""

    w_x: Float[Array, "E H"]
    w_h: Float[Array, "H H"]
    b: Float[Array, "H"]


@cached
def rnn(
    input_size: int,
    hidden_size: int,
    *,
    nonlinearity: str = "tanh",
    w_x_init: Initializer = lecun_normal,
    w_h_init: Initializer = orthogonal(),
    b_init: Initializer = zeros,
    compute_dtype: str | None = None,
    recurrence: str = "auto",
) -> Cell:
    """Makes a simple recurrent cell. The carry is h [*B, H].

    Args:
        input_size: E, features of an input.
        hidden_size: H, units.
        nonlinearity: tanh, relu, sigmoid or identity (a linear network: the closed-form case of gradient analysis).
        w_x_init: initialiser of the input weights.
        w_h_init: initialiser of the recurrent weights.
        b_init: initialiser of the bias.
        compute_dtype: type of the operands of the products (e.g. "bfloat16"). Default: that of the parameters.
        recurrence: how `unroll` is computed: "scan", "fused" or "auto"; see lm_jax/cells/engines/selection.py. Or
            "pallas" on a TPU, where it has not run yet; see lm_jax/cells/engines/pallas.py.

    Returns:
        The cell.

    Raises:
        UserError: for a size below 1, an unknown nonlinearity or recurrence, and for "pallas" without a TPU.
    """
    check_sizes(input_size=input_size, hidden_size=hidden_size)
    f = one_of("nonlinearity", nonlinearity, NONLINEARITIES)

    def init(key):
        key_x, key_h, key_b = jax.random.split(key, 3)
        return RNNParams(
            w_x=w_x_init(key_x, (input_size, hidden_size), jnp.float32),
            w_h=w_h_init(key_h, (hidden_size, hidden_size), jnp.float32),
            b=b_init(key_b, (hidden_size,), jnp.float32),
        )

    def initial_carry(params, batch_shape):
        return jnp.zeros((*batch_shape, hidden_size), state_dtype(params.w_h))

    def project_unbiased(params, xs):
        return product(xs, cast(params.w_x, compute_dtype))

    def project(params, xs):
        return project_unbiased(params, xs) + params.b

    def recurrent_weights(params):
        return cast(params.w_h, compute_dtype)

    def recur(w_h, h, z):
        h = f(z + product(h, w_h))
        return h, h

    def observe_step(params, w_h, h, z):
        y, _ = recur(w_h, h, z)
        return Observed({}, {"h": params.w_h}, SATURATED[nonlinearity](y).astype(y.dtype))

    cell = hoisted_cell(
        init=init,
        initial_carry=initial_carry,
        project=project,
        recurrent_weights=recurrent_weights,
        recur=recur,
        input_size=input_size,
        output_size=hidden_size,
        observe_step=observe_step,
    )
    parts = rnn_parts(f, nonlinearity, compute_dtype)
    pallas = functools.partial(
        pallas_unroll, rnn_kernel(f, nonlinearity), cell, project, lambda params: (params.w_h,), compute_dtype
    )
    return with_recurrence(
        recurrence, cell, project_unbiased, lambda params: (params.w_h, params.b), parts, {"pallas": pallas}, "rnn"
    )
