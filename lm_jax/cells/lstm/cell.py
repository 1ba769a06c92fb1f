"""Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers et al. 2000).

    i_t = sigmoid(x_t W_xi + h_{t-1} W_hi + b_i)        what is written
    f_t = sigmoid(x_t W_xf + h_{t-1} W_hf + b_f)        what is kept
    g_t = tanh   (x_t W_xg + h_{t-1} W_hg + b_g)        the new content
    o_t = sigmoid(x_t W_xo + h_{t-1} W_ho + b_o)        what is shown
    c_t = f_t * c_{t-1} + i_t * g_t
    h_t = o_t * tanh(c_t)                               y_t = h_t

Shapes: x [*B, E], h and c [*B, H], w_x [E, 4H] and w_h [H, 4H] with the gates in the order i, f, g, o; b [4H].
The forget bias is part of the initial `b` (1 by default, Jozefowicz et al. 2015), never added in the step.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell, Observed, hoisted_cell
from lm_jax.cells.engines.pallas import pallas_unroll
from lm_jax.cells.engines.selection import with_recurrence
from lm_jax.cells.lstm.cudnn import cudnn_unroll
from lm_jax.cells.lstm.fused import halved, lstm_parts
from lm_jax.cells.lstm.pallas_tpu import LSTM_KERNEL
from lm_jax.cells.saturation import saturated_share
from lm_jax.cells.varying import state_dtype
from lm_jax.errors import check_sizes
from lm_jax.initializers import Initializer, by_gate, lecun_normal, orthogonal, zeros
from lm_jax.layers import cast, product


@struct.dataclass
class LSTMParams:
    """Gates in the order i, f, g, o. w_x [E, 4H], w_h [H, 4H], b [4H]."""

    w_x: Float[Array, "E 4*H"]
    w_h: Float[Array, "H 4*H"]
    b: Float[Array, "4*H"]


class LSTMCarry(NamedTuple):
    """h [*B, H] the output state, c [*B, H] the memory."""

    h: Float[Array, "*B H"]
    c: Float[Array, "*B H"]


def _recur(w_h, carry, z):
    _, carry = _gated(w_h, carry, z)
    return carry, carry.h


def _gated(w_h, carry, z):
    """((i, f, g, o, tanh(c')), the carry after)."""
    h, c = carry
    i, f, g, o = jnp.split(z + product(h, w_h), 4, axis=-1)
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    c = f * c + i * g
    shown = jnp.tanh(c)
    return (i, f, g, o, shown), LSTMCarry(o * shown, c)


def _observe_step(params, w_h, carry, z):
    (i, f, g, o, shown), _ = _gated(w_h, carry, z)
    w_i, w_f, w_g, w_o = jnp.split(params.w_h, 4, axis=-1)
    matrices = {"input": w_i, "forget": w_f, "candidate": w_g, "output": w_o}
    return Observed({"input": i, "forget": f, "output": o}, matrices, saturated_share((i, f, o), (g, shown)))


@cached
def lstm(
    input_size: int,
    hidden_size: int,
    *,
    forget_bias: float = 1.0,
    w_x_init: Initializer = lecun_normal,
    w_h_init: Initializer = orthogonal(),
    b_init: Initializer = zeros,
    compute_dtype: str | None = None,
    recurrence: str = "auto",
) -> Cell:
    """Makes a long short-term memory. The carry is LSTMCarry(h, c).

    Args:
        input_size: E, features of an input.
        hidden_size: H, units.
        forget_bias: added to the forget gate's block of the initial bias.
        w_x_init: initialiser of the input weights, gate by gate.
        w_h_init: initialiser of the recurrent weights, gate by gate.
        b_init: initialiser of the bias.
        compute_dtype: type of the operands of the products (e.g. "bfloat16"). Default: that of the parameters.
        recurrence: how `unroll` is computed: "scan", "fused" or "auto"; see lm_jax/cells/engines/selection.py. Or
            "cudnn", not shown to be right; see lm_jax/cells/lstm/cudnn.py. Or "pallas" on a TPU, where it has not run
            yet; see lm_jax/cells/engines/pallas.py.

    Returns:
        The cell.

    Raises:
        UserError: for a size below 1 or an unknown recurrence, for "cudnn" without an NVIDIA GPU and for "pallas"
            without a TPU.
    """
    check_sizes(input_size=input_size, hidden_size=hidden_size)

    def init(key):
        key_x, key_h, key_b = jax.random.split(key, 3)
        b = b_init(key_b, (4 * hidden_size,), jnp.float32)
        return LSTMParams(
            w_x=by_gate(w_x_init, key_x, input_size, hidden_size, 4),
            w_h=by_gate(w_h_init, key_h, hidden_size, hidden_size, 4),
            b=b.at[hidden_size : 2 * hidden_size].add(forget_bias),
        )

    def initial_carry(params, batch_shape):
        shape = (*batch_shape, hidden_size)
        # two arrays, not one twice: a donated buffer may be named only once
        dtype = state_dtype(params.w_h)
        return LSTMCarry(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

    def project(params, xs):
        return product(xs, cast(params.w_x, compute_dtype)) + params.b

    def recurrent_weights(params):
        return cast(params.w_h, compute_dtype)

    cell = hoisted_cell(
        init=init,
        initial_carry=initial_carry,
        project=project,
        recurrent_weights=recurrent_weights,
        recur=_recur,
        input_size=input_size,
        output_size=hidden_size,
        observe_step=_observe_step,
    )

    def project_halved(params, xs):
        w_x = halved(params.w_x)
        return product(xs, cast(w_x, compute_dtype))

    def loop_weights(params):
        return halved(params.w_h), halved(params.b)

    cudnn = functools.partial(cudnn_unroll, input_size, hidden_size, compute_dtype, cell.unroll)
    pallas = functools.partial(
        pallas_unroll, LSTM_KERNEL, cell, project, lambda params: (params.w_h,), compute_dtype, states=2
    )
    parts, others = lstm_parts(compute_dtype), {"cudnn": cudnn, "pallas": pallas}
    return with_recurrence(recurrence, cell, project_halved, loop_weights, parts, others, "lstm")
