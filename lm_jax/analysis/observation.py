"""The inside of a cell along a text: gate values, saturated units, and the radius of its recurrent matrices.

All three need a cell with `observe` (lm_jax/cells/base.py); those of this library have one, a user's cell may.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lm_jax.analysis.checks import check_opened
from lm_jax.analysis.trajectory import open_text
from lm_jax.cells.base import ObserveFn
from lm_jax.errors import UserError
from lm_jax.models.language_model import LanguageModel, Opened
from lm_jax.short_repr import shortly_shown
from lm_jax.types import Carry, Params, TextIds


@shortly_shown
class Saturation(NamedTuple):
    """The share of nonlinearities that are saturated (lm_jax/cells/saturation.py), for L layers.

    share: over all steps, texts and units. by_step: at each step, over texts and units.
    """

    share: Float[np.ndarray, "L"]
    by_step: Float[np.ndarray, "T L"]


def gate_values(
    model: LanguageModel, params: Params, tokens: TextIds, *, carry: Carry | None = None
) -> dict[str, Float[np.ndarray, "T B H"]]:
    """Returns the gates of every step of a text, by name, such as "gate.forget" or "1.gate.update"; none for an RNN.

    Args:
        model: a model with a recurrent network whose cell has `observe`.
        params: its parameters.
        tokens: ids [T, B], or [T] of one text; all of them are read.
        carry: before the first token; the initial one by default.

    Returns:
        The values of each gate; in a stack its layer, from 0, is before the name.

    Raises:
        UserError: a cell without `observe`, a model without a recurrence, a text that does not fit, or states that
            are no numbers.
    """
    layers = _along(model, params, tokens, carry, lambda layer: layer.gates)
    return {name: np.asarray(values) for name, values in _named("gate", layers).items()}


def saturation(model: LanguageModel, params: Params, tokens: TextIds, *, carry: Carry | None = None) -> Saturation:
    """Measures how much of each layer is saturated along a text.

    Args:
        model: a language model with a recurrence, whose cells have `observe`.
        params: its parameters.
        tokens: ids [T, B], or [T] of one text; all of them are read.
        carry: the carry before the first step. Default: the initial one.

    Returns:
        The saturated shares.

    Raises:
        UserError: as `gate_values`, and for an `observe` that does not give saturation.
    """
    shares = _along(model, params, tokens, carry, lambda layer: layer.saturation)
    if any(share is None for share in shares):
        raise UserError("saturation needs a cell whose `observe` gives saturation, got one that does not")
    by_step = np.stack([np.asarray(share).mean(axis=(1, 2), dtype=np.float64) for share in shares], axis=1)
    return Saturation(by_step.mean(axis=0), by_step)


def recurrent_radius(model: LanguageModel, params: Params) -> dict[str, float]:
    """Returns the spectral radius, the largest |eigenvalue|, of every recurrent matrix, by its name,
    such as "matrix.h".

    Raises UserError for a cell without `observe`, a model without a recurrence, and matrices that are no numbers.
    """
    opened = check_opened(model)
    observe, carry = _observer(opened), opened.cell.initial_carry(params.cell, ())
    layers = observe(params.cell, carry, jnp.zeros((opened.cell.input_size,)))
    named = _named("matrix", [layer.matrices for layer in layers])
    matrices = {name: np.asarray(matrix, np.float64) for name, matrix in named.items()}
    if not all(np.all(np.isfinite(matrix)) for matrix in matrices.values()):
        raise UserError("this analysis needs matrices of numbers, got NaN or infinity (has the model diverged?)")
    return {name: float(np.max(np.abs(np.linalg.eigvals(matrix)))) for name, matrix in matrices.items()}


def _observer(opened: Opened) -> ObserveFn:
    if opened.cell.observe is None:
        raise UserError("this analysis needs a cell with `observe`, got one without")
    return opened.cell.observe


def _named(kind: str, layers: list[Mapping[str, Any]]) -> dict[str, Any]:
    """ "gate.input" of a single layer, "0.gate.input" of the first of several; by layer, and then by name."""
    prefixes = [""] if len(layers) == 1 else [f"{number}." for number in range(len(layers))]
    return {
        f"{prefix}{kind}.{name}": layer[name]
        for prefix, layer in zip(prefixes, layers, strict=True)
        for name in sorted(layer)
    }


def _along(model, params, tokens, carry, part) -> list[Any]:
    """Returns the same part of the observations of each layer, [T, B, H]."""
    _observer(check_opened(model))
    text = open_text(model, params, tokens, tokens, carry)
    layers, finite = _compiled(text.opened)(params, text.carry, text.inputs)
    if not finite:  # a gate that is no number is below every threshold
        raise UserError(
            "this analysis needs states that are numbers, got NaN or infinite ones (has the model diverged?)"
        )
    return [part(layer) for layer in layers]


@functools.cache
def _compiled(opened: Opened) -> Callable:
    cell, observe = opened.cell, _observer(opened)

    @jax.jit
    def along(params, carry, inputs):
        def body(carry, x):
            layers = [layer._replace(matrices={}) for layer in observe(params.cell, carry, x)]
            after, y = cell.step(params.cell, carry, x)
            return after, (layers, jnp.all(jnp.isfinite(y)))

        layers, finite = jax.lax.scan(body, carry, opened.embed(params, inputs))[1]
        return layers, jnp.all(finite)

    return along
