"""The sLSTM (Beck et al. 2024, arXiv:2405.04517, section 2.2): an LSTM with exponential gates and a normaliser.

    a = x_t W_x + h_{t-1} R + b        R block-diagonal: heads of H / heads units that see each other
    z_t = tanh(a_z)        i_t = exp(a_i)        f_t = sigmoid(a_f)  or  exp(a_f)        o_t = sigmoid(a_o)
    c_t = f_t c_{t-1} + i_t z_t        n_t = f_t n_{t-1} + i_t        h_t = o_t c_t / n_t        y_t = h_t

exp(a_i) overflows, so the paper carries a stabiliser m beside c and n. Here the carry is what these three say together:
the mean of what was written, c / n, and the logarithm of its weight, log n, which are the same whatever m is:

    l = log f_t + log n_{t-1}        w_t = sigmoid(a_i - l)        log n_t = log(exp(l) + exp(a_i))
    c_t / n_t = c_{t-1} / n_{t-1} + w_t (z_t - c_{t-1} / n_{t-1})

There is no quotient and no exponential that is not bounded. n_0 = 0 stands as log n_0 = -100, beside which any input
that is not itself below exp(-70) counts for all.
Shapes: x [*B, E], h [*B, H], w_x [E, 4H], b [4H] with z, i, f, o side by side, w_h [heads, D, 4D] of D = H / heads.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell, Observed, hoisted_cell
from lm_jax.cells.heads import head_size
from lm_jax.cells.saturation import saturated_share
from lm_jax.cells.varying import state_dtype
from lm_jax.errors import one_of
from lm_jax.initializers import Initializer, by_gate, lecun_normal, orthogonal, zeros
from lm_jax.layers import cast, product


NOTHING = -100.0  # the logarithm of the weight of a memory in which nothing was written
FORGET = {"sigmoid": jax.nn.log_sigmoid, "exponential": lambda a: a}  # log f


@struct.dataclass
class SLSTMParams:
    """w_x [E, G], w_h [heads, D, F], b [G] of G = 4H, F = 4D: new content, input gate, forget gate, output gate."""

    w_x: Float[Array, "E G"]
    w_h: Float[Array, "heads D F"]
    b: Float[Array, "G"]


class SLSTMCarry(NamedTuple):
    """The output h, the mean c / n of what was written, and the logarithm of its weight n."""

    h: Float[Array, "*B H"]
    mean: Float[Array, "*B H"]
    log_weight: Float[Array, "*B H"]


@cached
def slstm(
    input_size: int,
    hidden_size: int,
    *,
    heads: int = 1,
    forget: str = "sigmoid",
    forget_bias: float = 1.0,
    w_x_init: Initializer = lecun_normal,
    w_h_init: Initializer = orthogonal(),
    b_init: Initializer = zeros,
    compute_dtype: str | None = None,
) -> Cell:
    """Makes an sLSTM; the carry is an `SLSTMCarry`, and its steps can only be done one after the other.

    Args:
        input_size: E.
        hidden_size: H.
        heads: Blocks of the recurrent matrix; must divide H.
        forget: "sigmoid" or "exponential", the forget gate.
        forget_bias: Of the forget gate, at the start.
        w_x_init: Initial input weights, gate by gate.
        w_h_init: Initial recurrent weights, block by block.
        b_init: Initial biases.
        compute_dtype: The type of the operands of the products; None keeps the parameters' own.

    Raises:
        UserError: For a size below 1, heads that do not divide H, and an unknown forget gate.
    """
    size = head_size(input_size, hidden_size, heads)
    log_forget = one_of("forget", forget, FORGET)

    def init(key):
        key_x, key_h, key_b = jax.random.split(key, 3)
        blocks = [by_gate(w_h_init, k, size, size, 4) for k in jax.random.split(key_h, heads)]
        b = b_init(key_b, (4 * hidden_size,), jnp.float32)
        return SLSTMParams(
            by_gate(w_x_init, key_x, input_size, hidden_size, 4),
            jnp.stack(blocks),
            b.at[2 * hidden_size : 3 * hidden_size].add(forget_bias),
        )

    def initial_carry(params, batch_shape):
        shape, dtype = (*batch_shape, hidden_size), state_dtype(params.w_h)
        return SLSTMCarry(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.full(shape, NOTHING, dtype))

    def project(params, xs):
        return product(xs, cast(params.w_x, compute_dtype)) + params.b

    def opened(w_h, carry, projected):
        h = carry.h.reshape(*carry.h.shape[:-1], heads, size).astype(w_h.dtype)
        p = jnp.einsum("...hd,hdk->...hk", h, w_h, preferred_element_type=carry.h.dtype)
        p = p.reshape(*p.shape[:-1], 4, size).swapaxes(-2, -3).reshape(projected.shape)
        a_z, a_i, a_f, a_o = jnp.split(projected + p, 4, axis=-1)
        return jnp.tanh(a_z), a_i, a_f, jax.nn.sigmoid(a_o)

    def recur(w_h, carry, projected):
        z, a_i, a_f, o = opened(w_h, carry, projected)
        before = log_forget(a_f) + carry.log_weight
        mean = carry.mean + jax.nn.sigmoid(a_i - before) * (z - carry.mean)
        h = o * mean
        return SLSTMCarry(h, mean, jnp.logaddexp(before, a_i)), h

    def observe_step(params, w_h, carry, projected):
        z, a_i, a_f, o = opened(w_h, carry, projected)
        written = jax.nn.sigmoid(a_i - log_forget(a_f) - carry.log_weight)
        return Observed({"input": written, "output": o}, {}, saturated_share((written, o), (z,)))

    return hoisted_cell(
        init=init,
        initial_carry=initial_carry,
        project=project,
        recurrent_weights=lambda params: cast(params.w_h, compute_dtype),
        recur=recur,
        input_size=input_size,
        output_size=hidden_size,
        observe_step=observe_step,
    )
