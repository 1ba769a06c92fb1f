"""Lyapunov exponents: the mean growth, in nats per step, of small differences between two states.

Directions Q_0, orthonormal, are carried along a trajectory by the derivative D_t of each step, and orthonormalised:

    D_t Q_{t-1} = Q_t R_t        exponent_k = mean over t of log |R_t[k, k]|

(Benettin et al. 1980). The sum of the first k is the mean growth of the logarithm of a volume of k dimensions, so that
they come in falling order once the steps are many; that of all is the mean of log |det D_t|. For a recurrence that is
driven by a text they are exponents given that text: the largest is negative where the network forgets its initial
state, and positive where it is chaotic; a gradient back through l steps is of a size near exp(exponent_1 * l).
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lm_jax.analysis.trajectory import open_text, precision, push_forward, real_leaves
from lm_jax.errors import UserError, check_sizes
from lm_jax.models.language_model import LanguageModel, Opened
from lm_jax.types import Carry, Params, TextIds


MOST_BY_DEFAULT = 10


def lyapunov_spectrum(
    step: Callable[[Any, Any], Any], state: Any, xs: Any, *, count: int, discard: int = 0
) -> Float[Array, "count"]:
    """Computes the first Lyapunov exponents of any map. It can be compiled, and mapped over states.

    Args:
        step: (state, x) -> the next state.
        state: an array or a pytree of arrays; integers in it are held constant.
        xs: what each step reads, with time on axis 0; `jnp.arange(T)` for a map that reads nothing.
        count: number of exponents.
        discard: steps at the start that do not count, while the directions turn.

    Returns:
        The exponents per step, largest first.

    Raises:
        UserError: for a count above the number of real numbers in the state, or a discard that leaves no step.
    """
    tree = jax.tree.structure(state)
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(state)]
    places = real_leaves(state)
    sizes = [leaves[place].size for place in places]
    steps = len(jax.tree.leaves(xs)[0])
    _check(count, discard, sum(sizes), steps)
    dtype = jnp.result_type(jnp.float32, *(leaves[place] for place in places))

    def body(state, x):
        leaves, directions = state

        def real_step(vector):
            merged = _with_real(leaves, places, sizes, vector)
            after = jax.tree.leaves(step(jax.tree.unflatten(tree, merged), x))
            after = [new.astype(old.dtype) for new, old in zip(after, leaves, strict=True)]
            return _real_vector(after, places, dtype), after

        push, after = push_forward(real_step, _real_vector(leaves, places, dtype))
        directions, growth = jnp.linalg.qr(jax.vmap(push, 1, 1)(directions))
        return (after, directions), jnp.log(jnp.abs(jnp.diagonal(growth)))

    # drawn, as the unit vectors may lie in a subspace that the map leaves to itself
    directions, _ = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (sum(sizes), count), dtype))
    _, logs = jax.lax.scan(body, (leaves, directions), xs)
    return jnp.mean(logs[discard:], axis=0)


def lyapunov_exponents(
    model: LanguageModel,
    params: Params,
    tokens: TextIds,
    *,
    count: int | None = None,
    carry: Carry | None = None,
    discard: int = 0,
    double: bool = False,
) -> Float[np.ndarray, "B count"]:
    """Computes the first Lyapunov exponents of a recurrence that reads a text, over its whole carry.

    Time is about that of `count` + 1 forward passes, and a QR decomposition of [n, count] a step.

    Args:
        model: a language model with a recurrence.
        params: its parameters.
        tokens: ids [T, B], or [T] of one text; all of them are read.
        count: number of exponents. Default: 10, or all if the carry has fewer numbers.
        carry: the carry before the first step. Default: the initial one.
        discard: steps at the start that do not count.
        double: whether to compute in float64.

    Returns:
        The exponents of each text, largest first; -inf for a direction that is lost altogether.

    Raises:
        UserError: for a model without a recurrence, a text of one token, a count or a discard out of range.
    """
    with precision(double):
        text = open_text(model, params, tokens, tokens, carry, double=double)
        leaves = jax.tree.leaves(text.carry)
        size = sum(leaves[place][0].size for place in real_leaves(text.carry))
        count = min(MOST_BY_DEFAULT, size) if count is None else count
        _check(count, discard, size, len(text.inputs))
        compiled = _compiled(text.opened, count, discard)
        exponents = np.asarray(compiled(text.params, text.carry, text.inputs), np.float64)
    if np.any(np.isnan(exponents)):
        raise UserError("this analysis needs states that are numbers, got NaN (has the model diverged?)")
    return exponents


@functools.cache
def _compiled(opened: Opened, count: int, discard: int) -> Callable:
    @jax.jit
    def exponents(params, carry, inputs):
        def of_one_text(carry, xs):
            def step(carry, x):
                return opened.cell.step(params.cell, carry, x)[0]

            return lyapunov_spectrum(step, carry, xs, count=count, discard=discard)

        return jax.vmap(of_one_text, in_axes=(0, 1))(carry, opened.embed(params, inputs))

    return exponents


def _check(count, discard, size, steps):
    check_sizes(count=count)
    if count > size:
        raise UserError(f"count must be at most the {size} real numbers of the state, got {count}")
    if not isinstance(discard, int) or not 0 <= discard < steps:
        raise UserError(f"discard must be a whole number from 0 and below the number of steps, {steps}, got {discard}")


def _real_vector(leaves, places, dtype):
    """Returns the leaves at these places as one vector."""
    return jnp.concatenate([leaves[place].ravel().astype(dtype) for place in places])


def _with_real(leaves, places, sizes, vector):
    """Returns the leaves with those at the places taken from the vector."""
    merged, start = list(leaves), 0
    for place, size in zip(places, sizes, strict=True):
        old = leaves[place]
        merged[place] = vector[start : start + size].reshape(old.shape).astype(old.dtype)
        start += size
    return merged
