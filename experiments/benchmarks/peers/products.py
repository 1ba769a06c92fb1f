"""The ceiling of `speed.py`: the matrix products of a piece of work and nothing else.

Of a recurrent layer with k gates: z = x W_x and its two derivatives over all T * B rows, the derivative by W_h over all
rows, and T times each of h W_h and d_a W_h^T over B rows; of a softmax: the logits and their two derivatives. Products
over all rows are timed one by one, those of a step as loops of T.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from experiments.benchmarks.peers.work import Layers, Step
from experiments.harness.timing import timed


GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def products_of(work: Layers | Step) -> list[tuple[int, int, int, int]]:
    """(rows, inner, columns, how often in a loop): left [rows, inner] times right [inner, columns]."""
    k, h = GATES[work.cell if isinstance(work, Layers) else "lstm"] * work.units, work.units
    rows, both = work.steps * work.batch, getattr(work, "direction", "both") == "both"
    layer = [(rows, h, k, 1), (work.batch, h, k, work.steps)]
    if both:
        layer += [(rows, k, h, 1), (h, rows, k, 1), (h, rows, k, 1), (work.batch, k, h, work.steps)]
    found = layer * work.layers
    if isinstance(work, Step):
        found += [(rows, h, work.vocab_size, 1), (rows, work.vocab_size, h, 1), (h, rows, work.vocab_size, 1)]
    return found


def seconds(work: Layers | Step, rounds: int) -> float:
    """The sum of the least time of each product."""
    return sum(_least(product, rounds) for product in products_of(work))


def repeated(inner: int, columns: int, times: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The product of [rows, inner] and [inner, columns], taken so many times one after the other, as a function."""

    def once(left, right):
        return left @ right

    def often(left, right):
        def body(_, a):  # the next left side depends on this product, as in a recurrence
            b = a @ right
            return b[:, :inner] if columns >= inner else jnp.tile(b, inner // columns)

        return jax.lax.fori_loop(0, times, body, left)

    return once if times == 1 else often


def _least(product, rounds):
    rows, inner, columns, times = product
    left, right = jnp.ones((rows, inner)), jnp.ones((inner, columns)) / inner
    function = jax.jit(repeated(inner, columns, times))
    jax.block_until_ready(function(left, right))
    return min(timed(lambda: function(left, right))[0] for _ in range(max(rounds, 3)))
