"""The gradient of a chunk, of all its streams at once or of parts of them one after the other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lm_jax.training.losses import LossFn, Tally, sizes_of
from lm_jax.types import Carry, Params


GradientFn = Callable[..., tuple[Params, Carry, Tally]]


def build_gradient(
    loss_fn: LossFn, parts: int = 1, hold_rows: Callable[..., Any] = lambda tree, axis: tree
) -> GradientFn:
    """(params, carry, chunk, key) -> (gradient, carry, tally).

    parts: the B streams are worked off in `parts` groups of B / parts, each with its own part of the carry, and the
    gradients are added up: the gradient of the whole in the memory of a part. With dropout each part draws masks of
    its own; without, the two are equal.
    hold_rows: (tree, axis) -> tree, what spreads every part over the devices that work on it.
    """
    differentiate = jax.value_and_grad(loss_fn, has_aux=True)

    def whole(params, carry, chunk, key, sizes=None):
        (_, (carry, tally)), grads = differentiate(params, carry, chunk, key, sizes)
        return grads, carry, tally

    def in_parts(params, carry, chunk, key):
        sizes = sizes_of(chunk)

        def add_part(sums, part):
            carry, chunk, key = part
            grads, carry, tally = whole(params, carry, chunk, key, sizes)
            return jax.tree.map(jnp.add, sums, (grads, tally)), carry

        zeros = jax.tree.map(jnp.zeros_like, params), Tally(jnp.zeros(()), jnp.zeros((), int))
        carries, chunks = hold_rows(_split(carry, 0, parts), 1), hold_rows(_split(chunk, 1, parts), 2)
        (grads, tally), carries = jax.lax.scan(add_part, zeros, (carries, chunks, jax.random.split(key, parts)))
        return grads, jax.tree.map(lambda c: c.reshape(-1, *c.shape[2:]), carries), tally

    return whole if parts == 1 else in_parts


def _split(tree, axis, parts):
    """Axis `axis` (the batch) of every leaf cut into `parts`, which become axis 0."""

    def leaf(x):
        shape = (*x.shape[:axis], parts, x.shape[axis] // parts, *x.shape[axis + 1 :])
        return jnp.moveaxis(x.reshape(shape), axis, 0)

    return jax.tree.map(leaf, tree)
