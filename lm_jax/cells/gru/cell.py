"""The gated recurrent unit (Cho et al. 2014), in the two forms that are both called GRU.

reset="after" (default; cuDNN, PyTorch, flax linen): the reset gate acts on the product, which has a bias of its own.

    r_t = sigmoid(x_t W_xr + h_{t-1} W_hr + b_r)
    z_t = sigmoid(x_t W_xz + h_{t-1} W_hz + b_z)
    n_t = tanh(x_t W_xn + b_n + r_t * (h_{t-1} W_hn + b_hn))
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}                          y_t = h_t

reset="before" (the paper and most textbooks): the reset gate acts on the state, and there is no b_hn.

    n_t = tanh(x_t W_xn + b_n + (r_t * h_{t-1}) W_hn)

z = 1 keeps the state in both; a lecture's "update gate u" with u = 0 keeping is u = 1 - z.
Shapes: x [*B, E], h [*B, H], w_x [E, 3H] and w_h [H, 3H] with the gates in the order r, z, n; b [3H]; b_hn [H].
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
from lm_jax.cells.gru.equations import candidate_after, candidate_before, new_state, open_gates
from lm_jax.cells.gru.fused import gru_after_parts, gru_before_parts
from lm_jax.cells.gru.pallas_tpu import GRU_KERNELS
from lm_jax.cells.saturation import saturated_share
from lm_jax.cells.varying import state_dtype
from lm_jax.errors import check_sizes, one_of
from lm_jax.initializers import Initializer, by_gate, lecun_normal, orthogonal, zeros
from lm_jax.layers import cast, product


@struct.dataclass
class GRUParams:
    """Gates in the order r, z, n. w_x [E, 3H], w_h [H, 3H], b [3H], b_hn [H] (None where reset="before")."""

    w_x: Float[Array, "E 3*H"]
    w_h: Float[Array, "H 3*H"]
    b: Float[Array, "3*H"]
    b_hn: Float[Array, "H"] | None


def _gates_after(weights, h, projected):
    w_h, b_hn = weights
    r_x, z_x, n_x = jnp.split(projected, 3, axis=-1)
    r_h, z_h, n_h = jnp.split(product(h, w_h), 3, axis=-1)
    r, z = open_gates(r_x, z_x, r_h, z_h)
    return r, z, candidate_after(n_x, r, n_h + b_hn)


def _gates_before(weights, h, projected):
    w_rz, w_n = weights
    r_x, z_x, n_x = jnp.split(projected, 3, axis=-1)
    r_h, z_h = jnp.split(product(h, w_rz), 2, axis=-1)
    r, z = open_gates(r_x, z_x, r_h, z_h)
    return r, z, candidate_before(n_x, r, h, lambda state: product(state, w_n))


def _loop_weights(params):
    return (params.w_h,) if params.b_hn is None else (params.w_h, params.b_hn)


GATES = {"after": _gates_after, "before": _gates_before}  # (r, z, n) of a step
FUSED_PARTS = {"after": gru_after_parts, "before": gru_before_parts}


@cached
def gru(
    input_size: int,
    hidden_size: int,
    *,
    reset: str = "after",
    w_x_init: Initializer = lecun_normal,
    w_h_init: Initializer = orthogonal(),
    b_init: Initializer = zeros,
    compute_dtype: str | None = None,
    recurrence: str = "auto",
) -> Cell:
    """Makes a gated recurrent unit. The carry is h [*B, H].

    Args:
        input_size: E, features of an input.
        hidden_size: H, units.
        reset: "after" (cuDNN form) or "before" (textbook form) the recurrent product; see the module.
        w_x_init: initialiser of the input weights, gate by gate.
        w_h_init: initialiser of the recurrent weights, gate by gate.
        b_init: initialiser of the bias.
        compute_dtype: type of the operands of the products (e.g. "bfloat16"). Default: that of the parameters.
        recurrence: how `unroll` is computed: "scan", "fused" or "auto"; see lm_jax/cells/engines/selection.py. Or
            "pallas" on a TPU, where it has not run yet; see lm_jax/cells/engines/pallas.py.

    Returns:
        The cell.

    Raises:
        UserError: for a size below 1, an unknown form or recurrence, and for "pallas" without a TPU.
    """
    check_sizes(input_size=input_size, hidden_size=hidden_size)
    gates = one_of("reset", reset, GATES)

    def init(key):
        key_x, key_h, key_b, key_n = jax.random.split(key, 4)
        return GRUParams(
            w_x=by_gate(w_x_init, key_x, input_size, hidden_size, 3),
            w_h=by_gate(w_h_init, key_h, hidden_size, hidden_size, 3),
            b=b_init(key_b, (3 * hidden_size,), jnp.float32),
            b_hn=b_init(key_n, (hidden_size,), jnp.float32) if reset == "after" else None,
        )

    def initial_carry(params, batch_shape):
        return jnp.zeros((*batch_shape, hidden_size), state_dtype(params.w_h))

    def project(params, xs):
        return product(xs, cast(params.w_x, compute_dtype)) + params.b

    def recurrent_weights(params):
        w_h = cast(params.w_h, compute_dtype)
        if reset == "after":
            return w_h, params.b_hn
        return w_h[:, : 2 * hidden_size], w_h[:, 2 * hidden_size :]

    def recur(weights, h, z_x):
        _, z, n = gates(weights, h, z_x)
        h = new_state(z, n, h)
        return h, h

    def observe_step(params, weights, h, z_x):
        r, z, n = gates(weights, h, z_x)
        w_r, w_z, w_n = jnp.split(params.w_h, 3, axis=-1)
        matrices = {"reset": w_r, "update": w_z, "candidate": w_n}
        return Observed({"reset": r, "update": z}, matrices, saturated_share((r, z), (n,)))

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
    pallas = functools.partial(pallas_unroll, GRU_KERNELS[reset], cell, project, _loop_weights, compute_dtype)
    parts = FUSED_PARTS[reset](compute_dtype)
    return with_recurrence(recurrence, cell, project, _loop_weights, parts, {"pallas": pallas}, "gru")
