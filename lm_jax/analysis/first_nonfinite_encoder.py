"""The first number that is infinite or NaN inside a model around an encoder: where, and in what.

The embedded input, the carries of each layer from the lowest up and log P(answer) are looked at, in the order in which
they are computed from each other. In a layer it is the first step that the cell reads, which for the cell from right to
left is the last in time. Without dropout, which makes no such number.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.cells.base import select
from lm_jax.models.opened_encoder import OpenedEncoder
from lm_jax.training.diagnosis import Finding
from lm_jax.types import Mask, Params


class _Stage(NamedTuple):
    """What is computed at every step, [T, B, ...]; layer: from 1, None outside of the encoder; reverse: read from the
    last step to the first."""

    name: str
    values: Any
    layer: int | None = None
    reverse: bool = False


def first_nonfinite_encoder(
    opened: OpenedEncoder, params: Params, inputs: Any, mask: Mask, answers: Any, answer_mask: Mask
) -> Finding | None:
    """Returns the first place, from the embedding up, of a number that is none; None without one.

    Args:
        opened: a model around its encoder.
        params: its parameters.
        inputs: what the model embeds, as its tokens [T, B].
        mask: [T, B], False where there is no token.
        answers: what the probability is asked of.
        answer_mask: [K, B], False where there is no answer. K = 1: of the whole row, at no time step.
    """
    xs, read = opened.embed(params, inputs, mask)
    stages = [_Stage("embedded input", xs)]
    unroll = _recording(stages)
    encode = opened.encoder.encode_with
    if encode is None:
        ys = opened.encoder.encode(params.encoder, xs, mask=read)
        stages.append(_Stage("output of the encoder", ys))
    else:
        ys = encode(unroll, params.encoder, xs, mask=read)
    for stage in stages:
        found = _first(stage, read)
        if found is not None:
            return found
    log_probs = opened.log_probs(params, ys, answers, read)
    found = _first(_Stage("log P(answer)", log_probs), answer_mask)
    return found._replace(time=None) if found is not None and len(log_probs) == 1 else found


def _recording(stages):
    """An `UnrollAtFn` that notes the carries of all steps, in order of time."""

    def unroll(cell, params, xs, mask, key, place):
        def step(carry, slices):
            x, real = slices
            after, y = cell.step(params, carry, x)
            after = after if real is None else select(real, after, carry)
            return after, (after, y)

        initial = cell.initial_carry(params, xs.shape[1:-1])
        _, (carries, ys) = jax.lax.scan(step, initial, (xs, mask), reverse=place.reverse)
        layer, side = (place.layer[0] + 1 if place.layer else 1), " from right to left" if place.reverse else ""
        for path, values in jax.tree_util.tree_flatten_with_path(carries)[0]:
            name = f"carry {jax.tree_util.keystr(path, simple=True, separator='.')}".strip()
            stages.append(_Stage(f"{name}{side}", values, layer, place.reverse))
        return ys

    return unroll


def _first(stage, mask):
    """The finding in a stage, where the mask is True."""
    finite = jnp.isfinite(stage.values).all(axis=tuple(range(2, stage.values.ndim)))
    bad = np.asarray(~finite if mask is None else ~finite & mask)
    times = np.flatnonzero(bad.any(axis=1))
    if not len(times):
        return None
    time = int(times[-1 if stage.reverse else 0])
    row = int(np.flatnonzero(bad[time])[0])
    values = np.asarray(stage.values[time, row], np.float32).reshape(-1)
    return Finding(stage.name, float(values[~np.isfinite(values)][0]), row, stage.layer, time)
