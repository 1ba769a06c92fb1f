"""The gradient of a weight that is used at every step, taken apart by the step of its use and by its distance.

    J = 1/(T B) sum over predictions i and texts of J_i             J_i = -log P(x_{i+1} | x_1 .. x_i) in nats
    D[i, t] = dJ_i / d(weight as step t uses it)                    0 for t > i
    dJ/dweight = 1/(T B) sum over t of sum over i >= t of D[i, t]   for a weight of the cell

One reverse scan gives the contribution of every t, all later losses together: its body holds the gradient of one
step, never of all. Parts of one distance l = i - t are as large as the weight too, but only their projections on the
whole gradient g are asked for: <D[i, t], g> = <a_i(t), (dstep_t/dweight) g>, a_i(t) the adjoint of J_i after step t.
A second reverse scan has a block of these adjoints, one for every lag, and needs one derivative of each step in the
direction g. Adjoints, sums and projections have exponents of their own, as in lm_jax/analysis/adjoint_scan.py.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lm_jax.analysis.adjoint_scan import add_scaled, log_norm
from lm_jax.analysis.checks import check_finite, checked_lag
from lm_jax.analysis.trajectory import forward_pass, open_text, push_forward, real_leaves, step_from
from lm_jax.errors import UserError
from lm_jax.models.language_model import LanguageModel, Opened
from lm_jax.short_repr import shortly_shown
from lm_jax.types import Carry, Params, TextIds


@shortly_shown
class WeightGradient(NamedTuple):
    """The gradient of the mean cross-entropy by the parameters of a cell, in float64, by use and by distance.

    Names are paths in params.cell, such as "w_h" or, in a stack, "cells.0.w_h".
    gradient: a tree like params.cell; what the contributions of all steps add up to.
    log_norms: by name, log ||contribution of the use at step t|| at [t]; -inf where there is none.
    shares: by name, at [l] the part of the gradient with lag l (loss i, use at step i - l), projected on the whole
        gradient and divided by its squared norm. Over all lags they add up to one; as parts may oppose each other,
        a share may be negative or above one. NaN where the gradient is zero.
    """

    gradient: Params
    log_norms: dict[str, Float[np.ndarray, "T"]]
    shares: dict[str, Float[np.ndarray, "L+1"]]

    def share_beyond(self, lag: int) -> dict[str, float]:
        """Returns by name the share of the gradient that comes from more than `lag` steps back.

        Raises UserError for a lag that was not measured.
        """
        largest = len(next(iter(self.shares.values()))) - 1
        if not 0 <= lag <= largest:
            raise UserError(f"lag must be among those measured, 0 to {largest}, got {lag}")
        return {name: self._beyond(name, shares, lag) for name, shares in self.shares.items()}

    def _beyond(self, name, shares, lag):
        unmeasured = 0.0 if len(shares) == len(self.log_norms[name]) else 1 - np.sum(shares)
        return float(np.sum(shares[lag + 1 :]) + unmeasured)


def weight_gradient_by_step(
    model: LanguageModel,
    params: Params,
    tokens: TextIds,
    *,
    targets: TextIds | None = None,
    carry: Carry | None = None,
    max_lag: int | None = None,
) -> WeightGradient:
    """Computes the gradient of the mean loss with respect to the cell's parameters, by step of their use and by lag.

    Time is about that of T backward steps of a batch of B * max_lag rows, memory O(B * T * H) and a few times that of
    the cell's parameters.

    Args:
        model: a language model with a recurrence.
        params: its parameters.
        tokens: ids [T+1, B], or [T+1] of one text: each token but the first is predicted from those before it. With
            `targets`, `tokens` [T, B] are the inputs.
        targets: ids [T, B]; targets[i] is predicted after tokens[i].
        carry: the carry before the first step. Default: the initial one. It is held constant: where a cell learns its
            initial carry, that is not a use at a step.
        max_lag: largest lag of the shares; the time is proportional to it. Default: all, T - 1.

    Returns:
        The gradient, its log norm by step, and its shares by lag.

    Raises:
        UserError: for a model without a recurrence (an n-gram, a window), a cell without parameters, fewer than two
            predictions, a max_lag that no prediction has, shapes that do not fit, ids that are not in the vocabulary,
            or gradients that are no numbers.
    """
    text = open_text(model, params, tokens, targets, carry)
    rows = checked_lag(max_lag, len(text.inputs))
    paths, tree = jax.tree_util.tree_flatten_with_path(params.cell)
    if not paths:
        raise UserError("this analysis needs a cell with parameters, got one without")
    names = [jax.tree_util.keystr(path, simple=True, separator=".") or "params" for path, _ in paths]
    compiled = _compiled(text.opened, real_leaves(text.carry), rows)
    result = compiled(params, text.carry, text.inputs, text.targets)
    sums, exponents, log_norms, (shares, share_exponents) = jax.device_get(result)
    check_finite(sums)
    gradient = [np.ldexp(np.asarray(leaf, np.float64), e) for leaf, e in zip(sums, exponents, strict=True)]
    with np.errstate(invalid="ignore"):
        sizes = np.array([np.linalg.norm(np.asarray(leaf, np.float64)) for leaf in sums])
        shares = np.ldexp(np.asarray(shares, np.float64) / sizes, share_exponents - np.array(exponents))
    return WeightGradient(
        jax.tree.unflatten(tree, gradient),
        dict(zip(names, np.asarray(log_norms, np.float64).T, strict=True)),
        dict(zip(names, shares.T, strict=True)),
    )


@functools.cache
def _compiled(opened: Opened, places, rows: int) -> Callable:
    return jax.jit(functools.partial(weight_gradient_on_device, opened, places, rows))


def weight_gradient_on_device(opened: Opened, places, rows, params, carry, inputs, targets):
    """Computes on the device the gradient as leaves and exponents of two, log norms [T, P], and shares.

    The shares are projections on the unit vector along the gradient, [L+1, P], and their exponents; P parameters.

    Args:
        opened: The parts of a recurrent language model.
        places: Of the leaves of the flattened carry that have a derivative.
        rows: The largest lag L.
        params: Parameters of the language model.
        carry: The carry before the first step, leaves [B, ...].
        inputs: Ids [T, B].
        targets: Ids [T, B].
    """
    xs, carries, ys = forward_pass(opened, params, carry, inputs)
    gradients = jax.grad(lambda ys: -jnp.mean(opened.log_probs(params, ys, targets)))(ys)
    weights, tree = jax.tree.flatten(params.cell)

    def open_step(before, x):
        """Makes one step a function of the parameters and the carry, as lists of leaves, to [*carry, y]."""

        def step(weights, values):
            cell_step = functools.partial(opened.cell.step, jax.tree.unflatten(tree, weights))
            after, y = step_from(cell_step, before, places)[0](values, x)
            return [*(after[place] for place in places), y]

        leaves = jax.tree.leaves(before)
        return step, [leaves[place] for place in places]

    slices = carries, xs, gradients
    sums, exponents, log_norms = _sum_of_uses(open_step, weights, slices)
    sizes = [jnp.exp(log_norm(leaf, 0)).astype(leaf.dtype) for leaf in sums]
    directions = [leaf / jnp.where(size > 0, size, 1) for leaf, size in zip(sums, sizes, strict=True)]
    return sums, exponents, log_norms, _projections(open_step, weights, directions, slices, rows)


def _sum_of_uses(open_step, weights, slices):
    """Returns the sum over steps of dJ/dweight_t, as leaves near 1 and exponents,
    and the log norms [T, P] of its terms."""

    def body(state, slices):
        adjoint, exponent, sums, exponents = state
        before, x, g = slices
        step, values = open_step(before, x)
        _, pull = jax.vjp(step, weights, values)
        later, now = [[*adjoint, jnp.zeros_like(g)]], [[*map(jnp.zeros_like, adjoint), g]]
        (cotangent,), (exponent,) = add_scaled([later, now], [exponent, jnp.zeros_like(exponent)])
        uses, adjoint = pull(cotangent)
        log_norms = jnp.stack([log_norm(use, 0) for use in uses]) + exponent * np.log(2)
        added = [add_scaled([[[a]], [[use]]], [e, exponent]) for a, e, use in zip(sums, exponents, uses, strict=True)]
        sums, exponents = [leaf for ((leaf,),), _ in added], [e for _, (e,) in added]
        return (adjoint, exponent, sums, exponents), log_norms

    zero = jnp.zeros((), jnp.int32)
    first = open_step(*jax.tree.map(lambda a: a[0], slices[:2]))[1]
    initial = ([jnp.zeros_like(v) for v in first], zero, [jnp.zeros_like(w) for w in weights], [zero] * len(weights))
    (_, _, sums, exponents), log_norms = jax.lax.scan(body, initial, slices, reverse=True)
    return sums, exponents, log_norms


def _projections(open_step, weights, directions, slices, rows):
    """sum over t of <dJ_{t+l}/dweight_t, direction> [L+1, P], near 1, and exponents; a row of adjoints for each lag."""

    def body(state, slices):
        block, exponents, sums, sum_exponents = state
        before, x, g = slices
        step, values = open_step(before, x)
        _, pull = jax.vjp(lambda v: step(weights, v), values)
        ((g,),), (g_exponent,) = add_scaled([[[g]]], [jnp.zeros((), jnp.int32)])
        exponents = jnp.concatenate([g_exponent[None], exponents])
        parts = []
        for k, direction in enumerate(directions):
            push, _ = push_forward(
                lambda w, k=k: (step([*weights[:k], w, *weights[k + 1 :]], values), None), weights[k]
            )
            *moved, moved_y = push(direction)
            by_row = sum(jnp.sum(b * m, tuple(range(1, b.ndim))) for b, m in zip(block, moved, strict=True))
            parts.append(jnp.concatenate([jnp.sum(g * moved_y)[None], by_row]))
        parts = jnp.stack(parts, 1)
        by_part = jnp.broadcast_to(exponents[:, None], parts.shape)
        ((sums,),), (sum_exponents,) = add_scaled([[[sums]], [[parts]]], [sum_exponents, by_part])
        # a step back, every row is at the next lag, and that of J_t is at lag 1
        cotangents = [jnp.concatenate([jnp.zeros_like(b[:1]), b[:-1]]) for b in block]
        at_y = jnp.zeros((rows, *g.shape), g.dtype).at[0].set(g)
        (block,) = jax.vmap(pull)([*cotangents, at_y])
        (block,), (exponents,) = add_scaled([[block]], [exponents[:-1]])
        return (block, exponents, sums, sum_exponents), None

    first = open_step(*jax.tree.map(lambda a: a[0], slices[:2]))[1]
    block = [jnp.zeros((rows, *v.shape), v.dtype) for v in first]
    sums = jnp.zeros((rows + 1, len(weights)), slices[2].dtype)
    initial = (block, jnp.zeros(rows, jnp.int32), sums, jnp.zeros(sums.shape, jnp.int32))
    (_, _, sums, exponents), _ = jax.lax.scan(body, initial, slices, reverse=True)
    return sums, exponents
