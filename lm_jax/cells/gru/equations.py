"""The equations of a step, for every engine: gates from pre-activations, and the new state from gates.

x_r, x_z, x_n [*B, H] are the input's share of the pre-activations, h_r, h_z [*B, H] the state's. All in one place, so
that engines differ only in how they make the products.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array


def open_gates(x_r: Array, x_z: Array, h_r: Array, h_z: Array) -> tuple[Array, Array]:
    """Returns the gates (r, z).

    Args:
        x_r: Pre-activation of the reset gate from the input, with its bias, [*B, H].
        x_z: The same of the update gate.
        h_r: Pre-activation of the reset gate from the state, h W_r, [*B, H].
        h_z: The same of the update gate.
    """
    return jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)


def candidate_after(x_n: Array, r: Array, v: Array) -> Array:
    """Computes the candidate n for reset="after".

    Args:
        x_n: Its pre-activation from the input, with its bias, [*B, H].
        r: The reset gate, [*B, H].
        v: h W_n + b_hn, [*B, H].
    """
    return jnp.tanh(x_n + r * v)


def candidate_before(x_n: Array, r: Array, h: Array, product_n: Callable[[Array], Array]) -> Array:
    """Computes the candidate n for reset="before".

    Args:
        x_n: Its pre-activation from the input, with its bias, [*B, H].
        r: The reset gate, [*B, H].
        h: The state before the step, [*B, H].
        product_n: Multiplies a state by W_n.
    """
    return jnp.tanh(x_n + product_n(r * h))


def new_state(z: Array, n: Array, h: Array) -> Array:
    """h after the step: z = 1 keeps the state.

    Args:
        z: The update gate, [*B, H].
        n: The candidate, [*B, H].
        h: The state before the step, [*B, H].
    """
    return (1 - z) * n + z * h
