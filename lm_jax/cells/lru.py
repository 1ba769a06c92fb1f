"""The linear recurrent unit (Orvieto et al. 2023, arXiv:2303.06349): a diagonal of complex eigenvalues, no gates.

    lambda = exp(-exp(nu) + i exp(theta))        inside the unit circle whatever nu is
    s_t = lambda * s_{t-1} + exp(gamma) * (x_t B)                complex, [N]
    y_t = Re(s_t C) + x_t D                                      real, [H]

The eigenvalues are the memory: what a state was k steps ago counts by |lambda|^k. Ring initialisation draws lambda
uniform in area between the radii r_min and r_max, with phases up to max_phase; gamma begins as the logarithm of
sqrt(1 - |lambda|^2), by which white noise at the input gives states of variance 1 however long they remember.
The carry holds the real and the imaginary part, two real arrays: optimisers, checkpoints and the gradient laboratory
need no complex numbers. Here N = H. The paper's D is a diagonal where E = H; here it is a matrix [E, H].
Shapes: x [*B, E], s [*B, H], b_re and b_im [E, H], c_re and c_im [H, H], d [E, H], nu, theta, gamma [H].
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Complex, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell
from lm_jax.cells.linear import Terms, linear_cell
from lm_jax.cells.varying import state_dtype
from lm_jax.errors import UserError, check_sizes
from lm_jax.initializers import lecun_normal
from lm_jax.layers import cast, product


@struct.dataclass
class LRUParams:
    """nu, theta [H] the eigenvalues, gamma [H] the logarithm of the scale of inputs, and B, C, D."""

    nu: Float[Array, "H"]
    theta: Float[Array, "H"]
    gamma: Float[Array, "H"]
    b_re: Float[Array, "E H"]
    b_im: Float[Array, "E H"]
    c_re: Float[Array, "H H"]
    c_im: Float[Array, "H H"]
    d: Float[Array, "E H"]


class LRUCarry(NamedTuple):
    """The real and the imaginary part of the state."""

    re: Float[Array, "*B H"]
    im: Float[Array, "*B H"]


def eigenvalues(params: LRUParams) -> Complex[Array, "H"]:
    """Returns lambda."""
    nu, theta = (a.astype(state_dtype(a)) for a in (params.nu, params.theta))
    return jnp.exp(jax.lax.complex(-jnp.exp(nu), jnp.exp(theta)))


@cached
def lru(
    input_size: int,
    hidden_size: int,
    *,
    r_min: float = 0.9,
    r_max: float = 0.999,
    max_phase: float = math.pi / 10,
    compute_dtype: str | None = None,
    recurrence: str = "auto",
) -> Cell:
    """Makes a linear recurrent unit; the carry is an `LRUCarry`.

    Args:
        input_size: E.
        hidden_size: H, of the state and of the output.
        r_min: Smallest |lambda| at the start.
        r_max: Largest |lambda| at the start.
        max_phase: Largest phase of lambda at the start, in radians.
        compute_dtype: The type of the operands of the products; None keeps the parameters' own.
        recurrence: "scan", "associative" or "auto" (lm_jax/cells/linear.py).

    Raises:
        UserError: For a size below 1, radii that are not 0 <= r_min < r_max < 1, a phase outside (0, 2 pi], an
            unknown recurrence.
    """
    check_sizes(input_size=input_size, hidden_size=hidden_size)
    if not 0 <= r_min < r_max < 1:
        raise UserError(f"radii must be 0 <= r_min < r_max < 1, got {r_min} and {r_max}", ["r_min", "r_max"])
    if not 0 < max_phase <= 2 * math.pi:
        raise UserError(f"max_phase must be in (0, 2 pi], got {max_phase}", ["max_phase"])

    def init(key):
        key_r, key_p, *keys = jax.random.split(key, 7)
        shape = (hidden_size,)
        area = jax.random.uniform(key_r, shape, jnp.float32, minval=r_min**2, maxval=r_max**2)
        nu = jnp.log(-0.5 * jnp.log(jnp.maximum(area, 1e-12)))
        theta = jnp.log(jax.random.uniform(key_p, shape, jnp.float32, minval=1e-4 * max_phase, maxval=max_phase))
        sizes = [(input_size, hidden_size)] * 2 + [(hidden_size, hidden_size)] * 2 + [(input_size, hidden_size)]
        b_re, b_im, c_re, c_im, d = (lecun_normal(k, s, jnp.float32) for k, s in zip(keys, sizes, strict=True))
        half = 2**-0.5  # of the variance is in each part
        gamma = 0.5 * jnp.log1p(-jnp.exp(-2 * jnp.exp(nu)))
        return LRUParams(nu, theta, gamma, half * b_re, half * b_im, c_re, c_im, d)

    def initial_carry(params, batch_shape):
        shape, dtype = (*batch_shape, hidden_size), state_dtype(params.nu)
        return LRUCarry(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

    def terms(params, xs):
        scale = jnp.exp(params.gamma)
        parts = (scale * product(xs, cast(w, compute_dtype)) for w in (params.b_re, params.b_im))
        inputs = jax.lax.complex(*parts)
        decay = jnp.broadcast_to(eigenvalues(params), inputs.shape)
        return Terms(decay, inputs, product(xs, cast(params.d, compute_dtype)))

    def readout(params, states, skipped):
        c_re, c_im = (cast(w, compute_dtype) for w in (params.c_re, params.c_im))
        return product(states.real, c_re) - product(states.imag, c_im) + skipped

    return linear_cell(
        init,
        initial_carry,
        terms,
        input_size,
        hidden_size,
        readout=readout,
        recurrence=recurrence,
        to_state=lambda carry: jax.lax.complex(carry.re, carry.im),
        to_carry=lambda state: LRUCarry(state.real, state.imag),
    )
