"""The gradient of a batch, of all its rows at once or of parts of them one after the other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lm_jax.training.losses import LossFn, Tally
from lm_jax.types import Carry, Params


GradientFn = Callable[..., tuple[Params, Carry, Tally]]


def build_gradient(
    loss_fn: LossFn, parts: int = 1, hold_rows: Callable[..., Any] = lambda tree, axis: tree
) -> GradientFn:
    """Makes the function (params, carry, batch, key) -> (gradient, carry, tally).

    Args:
        loss_fn: the loss of a batch.
        parts: the B rows are processed in `parts` groups of B / parts, each with its own part of the carry, and the
            gradients are added up: the gradient of the whole in the memory of a part. With dropout each part draws
            masks of its own; without, the two are equal.
        hold_rows: (tree, axis) -> tree, spreads every part over the devices that work on it.
    """
    differentiate = jax.value_and_grad(loss_fn, has_aux=True)

    def all_at_once(params, carry, batch, key, whole=None):
        (_, (carry, tally)), grads = differentiate(params, carry, batch, key, whole)
        return grads, carry, tally

    def in_parts(params, carry, whole, key):
        def add_part(sums, part):
            carry, batch, key = part
            grads, carry, tally = all_at_once(params, carry, batch, key, whole)
            return jax.tree.map(jnp.add, sums, (grads, tally)), carry

        zeros = jax.tree.map(jnp.zeros_like, params), Tally(jnp.zeros(()), jnp.zeros((), int))
        carries, batches = hold_rows(_split(carry, 0, parts), 1), hold_rows(_split(whole, 1, parts), 2)
        (grads, tally), carries = jax.lax.scan(add_part, zeros, (carries, batches, jax.random.split(key, parts)))
        return grads, jax.tree.map(lambda c: c.reshape(-1, *c.shape[2:]), carries), tally

    return all_at_once if parts == 1 else in_parts


def _split(tree, axis, parts):
    """Cuts axis `axis` (the rows) of every leaf into `parts`, which become axis 0."""

    def leaf(x):
        shape = (*x.shape[:axis], parts, x.shape[axis] // parts, *x.shape[axis + 1 :])
        return jnp.moveaxis(x.reshape(shape), axis, 0)

    return jax.tree.map(leaf, tree)
