"""The parts of the simple recurrent network for the `pallas` engine. They HAVE NOT RUN ON A TPU yet.

    h = f(z + s W_h)        d a = (d y + d h) f'(h)        d s = d a W_h^T        d W_h = sum_t s^T d a        d z = d a

f' is computed from the output, so that nothing else is saved.
"""

from collections.abc import Callable

from jaxtyping import Array

from lm_jax.caching import cached
from lm_jax.cells.engines.pallas import KernelParts
from lm_jax.cells.rnn.fused import DERIVATIVES
from lm_jax.layers import product


@cached
def rnn_kernel(f: Callable[[Array], Array], nonlinearity: str) -> KernelParts:
    """Makes the parts for a nonlinearity.

    Args:
        f: The nonlinearity.
        nonlinearity: Its name in `DERIVATIVES`.
    """

    def step(weights, start, z):
        h = f(z + product(start[0], weights[0][...]))
        return (h,), ()

    def step_back(w_back, start, saved, d_new):
        d_a = d_new[0] * DERIVATIVES[nonlinearity](saved[0])
        return (product(d_a, w_back[...]),), d_a

    return KernelParts(
        gates=1,
        saved=0,
        weights=1,
        step=step,
        step_back=step_back,
        products=lambda rows, h, saved, d_z: [(0, rows(h), rows(d_z))],
        others=lambda saved, d_z: (),
    )
