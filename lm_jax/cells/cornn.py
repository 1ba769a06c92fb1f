"""The coupled oscillatory recurrent network (Rusch & Mishra 2021, arXiv:2010.00951, equation 3).

    v_t = v_{t-1} + dt (tanh(x_t W_x + h_{t-1} W_h + v_{t-1} W_v + b) - gamma h_{t-1} - epsilon v_{t-1})
    h_t = h_{t-1} + dt v_t        y_t = h_t

Every unit is an oscillator of frequency sqrt(gamma) with friction epsilon, driven by input and units: its gradients
neither vanish nor explode by more than the step dt and the number of steps allow (their propositions 3.1 and 3.2).
Shapes: x [*B, E], h and v [*B, H], w_x [E, H], w_h [2H, H] of h above v, b [H].
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell, Observed, hoisted_cell
from lm_jax.cells.saturation import SATURATED
from lm_jax.cells.varying import state_dtype
from lm_jax.errors import UserError, check_sizes
from lm_jax.initializers import Initializer, lecun_normal, zeros
from lm_jax.layers import cast, product


@struct.dataclass
class CoRNNParams:
    """w_x [E, H]; w_h [2H, H], the rows of W_h above those of W_v; b [H]."""

    w_x: Float[Array, "E H"]
    w_h: Float[Array, "2*H H"]
    b: Float[Array, "H"]


class CoRNNCarry(NamedTuple):
    """Positions h and velocities v of the oscillators."""

    h: Float[Array, "*B H"]
    v: Float[Array, "*B H"]


@cached
def cornn(
    input_size: int,
    hidden_size: int,
    *,
    dt: float = 0.1,
    gamma: float = 3.0,
    epsilon: float = 5.0,
    w_x_init: Initializer = lecun_normal,
    w_h_init: Initializer = lecun_normal,
    b_init: Initializer = zeros,
    compute_dtype: str | None = None,
) -> Cell:
    """Makes a coupled oscillatory network; the carry is a `CoRNNCarry`.

    Args:
        input_size: E.
        hidden_size: H.
        dt: Length of a step, above 0.
        gamma: Squared frequency, above 0.
        epsilon: Friction, at least 0.
        w_x_init: Initial input weights.
        w_h_init: Initial recurrent weights.
        b_init: Initial biases.
        compute_dtype: The type of the operands of the products; None keeps the parameters' own.

    Raises:
        UserError: For a size below 1 and a constant out of its range.
    """
    check_sizes(input_size=input_size, hidden_size=hidden_size)
    if not (dt > 0 and gamma > 0 and epsilon >= 0):
        rule = "an oscillator needs dt and gamma above 0 and epsilon of at least 0"
        raise UserError(f"{rule}, got {dt}, {gamma} and {epsilon}", ["dt", "gamma", "epsilon"])

    def init(key):
        key_x, key_h, key_b = jax.random.split(key, 3)
        return CoRNNParams(
            w_x_init(key_x, (input_size, hidden_size), jnp.float32),
            w_h_init(key_h, (2 * hidden_size, hidden_size), jnp.float32),
            b_init(key_b, (hidden_size,), jnp.float32),
        )

    def initial_carry(params, batch_shape):
        shape, dtype = (*batch_shape, hidden_size), state_dtype(params.w_h)
        return CoRNNCarry(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

    def force(w_h, carry, z):
        return jnp.tanh(z + product(jnp.concatenate([carry.h, carry.v], axis=-1), w_h))

    def recur(w_h, carry, z):
        v = carry.v + dt * (force(w_h, carry, z) - gamma * carry.h - epsilon * carry.v)
        h = carry.h + dt * v
        return CoRNNCarry(h, v), h

    def observe_step(params, w_h, carry, z):
        w_position, w_velocity = jnp.split(params.w_h, 2)
        saturated = SATURATED["tanh"](force(w_h, carry, z)).astype(carry.h.dtype)
        return Observed({}, {"h": w_position, "velocity": w_velocity}, saturated)

    return hoisted_cell(
        init=init,
        initial_carry=initial_carry,
        project=lambda params, xs: product(xs, cast(params.w_x, compute_dtype)) + params.b,
        recurrent_weights=lambda params: cast(params.w_h, compute_dtype),
        recur=recur,
        input_size=input_size,
        output_size=hidden_size,
        observe_step=observe_step,
    )
