"""The Jacobian of a recurrence along a text: by how much a step, or many, stretches each direction of the state.

    J_t = d state_t / d state_{t-l}        state_t the carry after step t of one layer, or one leaf of it

exact, through the whole cell and along the real trajectory: the inputs are held, and so is the carry of other layers
and, at step t-l, that of other leaves (an LSTM's c is free in between). Gradients that go back l steps are multiplied
by J_t^T: they vanish where its singular values are below 1, and the spectral radius of J_t or of W_h alone does not
tell, unless J_t is normal (Pascanu et al. 2013).
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float, Int

from lm_jax.analysis.adjoint_scan import NOTHING, expand, split_power
from lm_jax.analysis.checks import checked_layer
from lm_jax.analysis.trajectory import ALL, forward_pass, leaf_places, open_text, precision, push_forward, step_from
from lm_jax.errors import UserError, check_sizes, one_of
from lm_jax.models.language_model import LanguageModel, Opened
from lm_jax.short_repr import shortly_shown
from lm_jax.types import Carry, Params, TextIds


MOST_POSITIONS = 32


@shortly_shown
class StepJacobians(NamedTuple):
    """Spectra of J_t for N steps t of B texts, n the numbers of the leaf; float64, logarithms natural.

    positions: the steps t, counted from 0. lag: l.
    log_singular_values: falling; -inf for 0. The first is the spectral norm's.
    eigenvalues: by falling size. One below 1e-308 is 0, above 1e308 infinite: the logarithm of the largest is apart.
    log_spectral_radius: log of the largest |eigenvalue|.
    log_spectral_norm: log of the largest singular value.
    """

    positions: Int[np.ndarray, "N"]
    lag: int
    log_singular_values: Float[np.ndarray, "N B n"]
    eigenvalues: Complex[np.ndarray, "N B n"]
    log_spectral_radius: Float[np.ndarray, "N B"]
    log_spectral_norm: Float[np.ndarray, "N B"]


def step_jacobians(
    model: LanguageModel,
    params: Params,
    tokens: TextIds,
    *,
    carry: Carry | None = None,
    layer: int = -1,
    leaf: str = "h",
    lag: int = 1,
    positions: Sequence[int] | None = None,
    double: bool = False,
) -> StepJacobians:
    """Computes the spectra of d state_t / d state_{t-lag} at some steps of a text.

    Time is mostly that of the spectra, N * B matrices of [n, n] on the host: for large n ask for few positions. In
    float32 the Jacobian of many steps has singular values below 1e-7 of the largest that are rounding, in float64
    below 1e-15. Spectra are taken in float64 in any case.

    Args:
        model: a language model with a recurrence.
        params: its parameters.
        tokens: ids [T, B], or [T] of one text; all of them are read.
        carry: the carry before the first step. Default: the initial one.
        layer: the layer, counted from the input; -1 is the top.
        leaf: "h", "c" of an LSTM, another leaf by its path, or "all" for the layer's carry as one vector.
        lag: number of steps of each Jacobian.
        positions: the steps t, from lag to T-1. Default: at most 32, spread evenly.
        double: whether to compute the Jacobians in float64.

    Returns:
        Singular values and eigenvalues at each position.

    Raises:
        UserError: for a model without a recurrence, a lag longer than the text, and what does not exist or fit.
    """
    with precision(double):
        text = open_text(model, params, tokens, tokens, carry, double=double)
        steps = _checked_positions(positions, lag, len(text.inputs))
        layers = leaf_places(text.carry, params.cell)
        chosen = layers[checked_layer(layer, len(layers))]
        places = tuple(place for _, place in chosen)
        read = one_of("leaf", leaf, {**{name: (place,) for name, place in chosen}, ALL: places})
        result = _compiled(text.opened, places, read, lag)(text.params, text.carry, text.inputs, steps)
        matrices, exponents = np.asarray(result[0], np.float64), np.asarray(result[1])
    return _spectra(steps, lag, matrices, exponents)


def _checked_positions(positions, lag, steps):
    check_sizes(lag=lag)
    if lag >= steps:
        raise UserError(f"lag must be below the number of steps, {steps}, got {lag}")
    if positions is None:
        return np.unique(np.linspace(lag, steps - 1, min(MOST_POSITIONS, steps - lag)).astype(np.int32))
    chosen = np.asarray(positions)
    if chosen.ndim != 1 or not chosen.size or not np.issubdtype(chosen.dtype, np.integer):
        raise UserError(f"positions must be a list of steps, got {positions}")
    if chosen.min() < lag or chosen.max() >= steps:
        raise UserError(f"positions must be steps from {lag}, the lag, to {steps - 1}, got {positions}")
    return chosen.astype(np.int32)


def _spectra(positions, lag, matrices, exponents):
    """Computes the spectra of matrices [N, B, n, n], to be multiplied by 2^exponent [N, B]."""
    if not np.all(np.isfinite(matrices)):
        raise UserError(
            "this analysis needs derivatives that are numbers, got NaN or infinity (has the model diverged?)"
        )
    eigenvalues = np.linalg.eigvals(matrices).astype(np.complex128)
    order = np.argsort(-np.abs(eigenvalues), axis=-1, kind="stable")
    eigenvalues = np.take_along_axis(eigenvalues, order, axis=-1)
    log_scale = exponents * np.log(2)
    with np.errstate(divide="ignore"):
        log_singular_values = np.log(np.linalg.svd(matrices, compute_uv=False)) + log_scale[..., None]
        log_radius = np.log(np.abs(eigenvalues[..., 0])) + log_scale
    with np.errstate(under="ignore", over="ignore"):
        for part in (np.real(eigenvalues), np.imag(eigenvalues)):  # apart: infinity times 0j is NaN
            part[...] = np.ldexp(part, exponents[..., None])
    return StepJacobians(positions, lag, log_singular_values, eigenvalues, log_radius, log_singular_values[..., 0])


@functools.cache
def _compiled(opened: Opened, places, read, lag: int) -> Callable:
    return jax.jit(functools.partial(_on_device, opened, places, read, lag))


def _on_device(opened, places, read, lag, params, carry, inputs, positions):
    """(matrices [N, B, n, n], exponents [N, B]): J_t is matrix * 2^exponent, rows the state after, columns before.

    places: the leaves of the layer in the flattened carry, those that act on each other. read: the leaves of J_t.
    """
    xs, carries, _ = forward_pass(opened, params, carry, inputs)

    def along(t):
        before = jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, t - lag + 1, keepdims=False), carries)
        window = jax.lax.dynamic_slice_in_dim(xs, t - lag + 1, lag)
        return _through(functools.partial(opened.cell.step, params.cell), before, window, places, read)

    return jax.lax.map(along, positions)


def _through(step, carry, xs, places, read):
    """Returns the Jacobian of the leaves `read` [B, n, n] through all of xs [l, B, E], and its exponent [B]."""
    leaves, tree = jax.tree.flatten(carry)
    batch_size = xs.shape[1]

    def body(state, x):
        leaves, block, exponent = state
        step_of_values, values = step_from(step, jax.tree.unflatten(tree, leaves), places)

        def layer_step(values):
            after, _ = step_of_values(values, x)
            return [after[place] for place in places], after

        push, after = push_forward(layer_step, values)
        return (after, *_rescaled(jax.vmap(push)(block), exponent)), None

    block = _basis([leaves[place] for place in places], [place in read for place in places], batch_size)
    start = leaves, block, jnp.zeros((batch_size,), jnp.int32)
    (_, block, exponent), _ = jax.lax.scan(body, start, xs)
    columns = [leaf for leaf, place in zip(block, places, strict=True) if place in read]
    rows = jnp.concatenate([leaf.reshape(*leaf.shape[:2], -1) for leaf in columns], axis=-1)
    return jnp.moveaxis(rows, 0, -1), exponent


def _basis(leaves, is_read, batch_size):
    """Tangents [n, B, ...] of every leaf: the unit vectors of those that are read, one after the other."""
    sizes = [leaf[0].size if r else 0 for leaf, r in zip(leaves, is_read, strict=True)]
    block, start = [], 0
    for leaf, size in zip(leaves, sizes, strict=True):
        unit = jnp.eye(sum(sizes), size, -start, leaf.dtype) if size else jnp.zeros((sum(sizes), leaf[0].size))
        shape = (sum(sizes), batch_size, *leaf.shape[1:])
        block.append(jnp.broadcast_to(unit[:, None], (sum(sizes), batch_size, unit.shape[1])).reshape(shape))
        start += size
    return [tangent.astype(leaf.dtype) for tangent, leaf in zip(block, leaves, strict=True)]


def _rescaled(block, exponent):
    """Returns each text's tangents over a power of two, so that the largest entry is near 1,
    and its exponent so far."""
    top = functools.reduce(
        jnp.maximum, [jnp.max(jnp.abs(leaf), axis=(0, *range(2, leaf.ndim)), initial=0.0) for leaf in block]
    )
    power, shift = split_power(top)
    return [leaf / expand(power, leaf[0]) for leaf in block], exponent + jnp.where(shift > NOTHING, shift, 0)
