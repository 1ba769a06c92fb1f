"""The first number of a text that is infinite or NaN inside a recurrent language model: where, and in what.

At each step of time the embedded input, the carry of each layer from the lowest up, the output and log P(target) are
looked at, in the order in which they are computed from each other: the first that is no number is the cause, as far as
the arrays show it, of those after it. Without dropout, which makes no such number.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.cells.base import select
from lm_jax.models.language_model import LanguageModel
from lm_jax.training.diagnosis import Finding
from lm_jax.types import Carry, Mask, Params, Tokens


class _Stage(NamedTuple):
    """What is computed at every step, [T, B, ...]; layer: from 1, None outside of the cell."""

    name: str
    layer: int | None
    values: Any


def first_nonfinite(
    model: LanguageModel, params: Params, carry: Carry, inputs: Tokens, targets: Tokens, mask: Mask, reset: Mask | None
) -> Finding | None:
    """Returns the first place, in time and then from the embedding up, of a number that is none; None without one.

    Args:
        model: a language model.
        params: its parameters.
        carry: before the first token.
        inputs: ids [T, B].
        targets: the ids after them, [T, B].
        mask: [T, B], False where there is no token.
        reset: [T, B], True where the carry is replaced by the initial one before a step; None for nowhere.

    Returns:
        The finding; None too for a model without a recurrent network.
    """
    if model.opened is None:
        return None
    stages, before = _stages(model, params, carry, inputs, targets, reset)
    bad = [np.asarray(_bad_steps(stage.values) & mask) for stage in stages]
    times = [np.flatnonzero(one.any(axis=1)) for one in bad]
    found = [(int(time[0]), number) for number, time in enumerate(times) if len(time)]
    if not found:
        return None
    time, number = min(found)
    stage, row = stages[number], int(np.flatnonzero(bad[number][time])[0])
    values = np.asarray(stage.values[time, row], np.float32)
    value = float(values.reshape(-1)[np.flatnonzero(~np.isfinite(values.reshape(-1)))[0]])
    gates = () if stage.layer is None else _gates(model, params, before, inputs, time, row, stage.layer)
    return Finding(stage.name, value, row, stage.layer, time, gates)


def _stages(model, params, carry, inputs, targets, reset):
    """The stages of all steps, and the carry before each."""
    opened: Any = model.opened
    initial = opened.cell.initial_carry(params.cell, inputs.shape[1:])

    def step(carry, slices):
        x, restart = slices
        begun = carry if restart is None else select(restart, initial, carry)
        after, y = opened.cell.step(params.cell, begun, x)
        return after, (begun, after, y)

    xs = opened.embed(params, inputs)
    _, (before, after, ys) = jax.lax.scan(step, carry, (xs, reset))
    stacked = hasattr(params.cell, "cells")
    layers = []
    for path, values in jax.tree_util.tree_flatten_with_path(after)[0]:
        name = jax.tree_util.keystr(path[1:] if stacked else path, simple=True, separator=".")
        layers.append(_Stage(f"carry {name}".strip(), path[0].idx + 1 if stacked else 1, values))
    log_probs = opened.log_probs(params, ys, targets)
    ends = [_Stage("output of the top layer", None, ys), _Stage("log P(target)", None, log_probs)]
    return [_Stage("embedded input", None, xs), *layers, *ends], before


def _bad_steps(values):
    return ~jnp.isfinite(values).all(axis=tuple(range(2, values.ndim)))


def _gates(model, params, before, inputs, time, row, layer):
    """The gates of the layer that are no numbers at this step; none of a cell without `observe`."""
    observe = model.opened.cell.observe
    if observe is None:
        return ()
    carry = jax.tree.map(lambda leaf: leaf[time, row], before)
    observed = observe(params.cell, carry, model.opened.embed(params, inputs[time, row]))
    layers = observed if len(observed) >= layer else ()
    return (
        tuple(name for name, gate in layers[layer - 1].gates.items() if not jnp.isfinite(gate).all()) if layers else ()
    )
