"""The pass over a text that instruments start from: what a cell reads, holds and gives at every step."""

import jax
from jaxtyping import Array, Float

from lm_jax.models.recurrent.model import RecurrentLM
from lm_jax.types import Carry, Params, Tokens


def forward_pass(
    model: RecurrentLM, params: Params, carry: Carry, inputs: Tokens
) -> tuple[Float[Array, "T B E"], Carry, Float[Array, "T B H"]]:
    """(xs, carries, ys): the embedded inputs, the carry before each step (leaves [T, B, ...]), and the top outputs."""
    xs = model.embed(params, inputs)

    def forward(carry, x):
        after, y = model.cell.step(params.cell, carry, x)
        return after, (carry, y)

    _, (carries, ys) = jax.lax.scan(forward, carry, xs)
    return xs, carries, ys
