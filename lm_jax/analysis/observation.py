"""What the cell itself tells along a text: gate values, saturated units, and the radius of its recurrent matrices.

All three need a cell with `observe` (lm_jax/cells/base.py); those of this library have one, a user's cell may.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lm_jax.analysis.checks import checked_carry, checked_model, inputs_and_targets
from lm_jax.errors import UserError
from lm_jax.models.recurrent.model import RecurrentLM
from lm_jax.types import Carry, Params, Tokens


class Saturation(NamedTuple):
    """The share of nonlinearities that are saturated (lm_jax/cells/saturation.py), for L layers.

    share: over all steps, texts and units. by_step: at each step, over texts and units.
    """

    share: Float[np.ndarray, "L"]
    by_step: Float[np.ndarray, "T L"]


def gate_values(
    model: RecurrentLM, params: Params, tokens: Tokens, *, carry: Carry | None = None
) -> dict[str, Float[np.ndarray, "T B H"]]:
    """The gates of every step of a text, by their names, such as "gate.forget" or "1.gate.update"; none for an RNN.

    tokens: ids [T, B], or [T] of one text; all of them are read. carry: before the first; the initial one by default.
    Raises UserError for a cell without `observe`, a model without a recurrence, a text that does not fit, and states
    that are no numbers.
    """
    return _along(model, params, tokens, carry, "gate", "gate_values")


def saturation(model: RecurrentLM, params: Params, tokens: Tokens, *, carry: Carry | None = None) -> Saturation:
    """How much of each layer is saturated along a text. Arguments are those of `gate_values`, and so are errors: also
    UserError for an `observe` that does not give saturation."""
    shares = _along(model, params, tokens, carry, "saturation", "saturation")
    if not shares:
        raise UserError("saturation needs a cell whose `observe` gives saturation, got one that does not")
    by_step = np.stack([s.mean(axis=(1, 2), dtype=np.float64) for s in shares.values()], axis=1)
    return Saturation(by_step.mean(axis=0), by_step)


def recurrent_radius(model: RecurrentLM, params: Params) -> dict[str, float]:
    """The spectral radius, the largest |eigenvalue|, of every recurrent matrix, by its name, such as "matrix.h".

    Raises UserError for a cell without `observe`, a model without a recurrence, and matrices that are no numbers.
    """
    cell = _observed_cell(model, "recurrent_radius")
    seen = cell.observe(params.cell, cell.initial_carry(params.cell, ()), jnp.zeros((cell.input_size,)))
    matrices = {name: np.asarray(seen[name], np.float64) for name in _named(seen, "matrix")}
    if not all(np.all(np.isfinite(matrix)) for matrix in matrices.values()):
        raise UserError("recurrent_radius needs matrices of numbers, got NaN or infinity (has the model diverged?)")
    return {name: float(np.max(np.abs(np.linalg.eigvals(matrix)))) for name, matrix in matrices.items()}


def _observed_cell(model, what):
    cell = checked_model(model, what).cell
    if cell.observe is None:
        raise UserError(f"{what} needs a cell with `observe`, got one without")
    return cell


def _named(seen, kind):
    """The names that have this part, by layer (10 after 2) and then by name."""

    def place(name):
        return [int(part) for part in name.split(".") if part.isdigit()], name

    return sorted((name for name in seen if kind in name.split(".")), key=place)


def _along(model, params, tokens, carry, kind, what):
    """What is observed of this kind, [T, B, H] by name."""
    _observed_cell(model, what)
    inputs, _ = inputs_and_targets(tokens, tokens, model.vocab_size, what)
    carry = checked_carry(carry, model.initial_carry(params, (inputs.shape[1],)))
    seen, finite = _compiled(model, kind)(params, carry, inputs)
    if not finite:  # a gate that is no number is below every threshold
        raise UserError(f"{what} needs states that are numbers, got NaN or infinite ones (has the model diverged?)")
    return {name: np.asarray(seen[name]) for name in _named(seen, kind)}


@functools.cache
def _compiled(model: RecurrentLM, kind: str) -> Callable:
    cell = model.cell

    @jax.jit
    def along(params, carry, inputs):
        def body(carry, x):
            seen = cell.observe(params.cell, carry, x)
            after, y = cell.step(params.cell, carry, x)
            return after, ({name: seen[name] for name in _named(seen, kind)}, jnp.all(jnp.isfinite(y)))

        seen, finite = jax.lax.scan(body, carry, model.embed(params, inputs))[1]
        return seen, jnp.all(finite)

    return along
