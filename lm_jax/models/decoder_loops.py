"""How a decoder goes through its tokens: the parameters, the carry, and the loop of each form (conditional.py).

Where the cell reads the embedded tokens alone, all its steps are one `unroll`, as fast as a language model's, and
attention and readout are products over all steps at once. Where it reads what attention or the readout gave, each step
waits for the one before: a scan. A reset goes back to the carry that the memory gives, which no cell knows, so that a
text with resets is a scan in every form.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float

from lm_jax.attention import Attention, Source
from lm_jax.cells.base import Cell, masked_scan
from lm_jax.layers import product
from lm_jax.types import Carry, Key, Mask, Params


@struct.dataclass
class Conditioned:
    """The parameters of a decoder, with what it is conditioned on: memory [S, *B, E], mask [S, *B] (None: all real).

    Axes of *B that are 1 are broadcast over the rows of the decoder, such as beams, and so is a memory without *B.
    """

    params: Params
    memory: Float[Array, "S *B E"]
    mask: Bool[Array, "S *B"] | None = None


@struct.dataclass
class DecoderCarry:
    """What a step hands to the next: the cell's carry; `fed`, y [*B, H] or r [*B, R] for the next step, or None; the
    weights of attention added up [*B, S], or None."""

    cell: Carry
    fed: Array | None
    coverage: Float[Array, "*B S"] | None


@struct.dataclass
class LayerParams:
    """A dense layer: w [I, O], b [O]."""

    w: Float[Array, "I O"]
    b: Float[Array, "O"]


@struct.dataclass
class DecoderParams:
    """embedding [V, E]; the cell's; attention's (None without); start, a layer for each part of the first carry (None
    for a part that is no vector); readout; w_out [R, V] (None where tied), b_out [V]."""

    embedding: Float[Array, "V E"]
    cell: Params
    attention: Params
    start: tuple[LayerParams | None, ...]
    readout: LayerParams
    w_out: Float[Array, "R V"] | None
    b_out: Float[Array, "V"]


class Switches(NamedTuple):
    """mask, reset [T, *B] and key as an unroll takes them, and the carry that a reset goes back to."""

    mask: Mask | None
    reset: Mask | None
    key: Key | None
    initial: DecoderCarry | None


# (params, carry, xs [T, *B, E], switches) -> carry, readouts [T, *B, R], weights of attention [T, *B, S] or None
LoopFn = Callable[[Conditioned, DecoderCarry, Array, Switches], tuple[DecoderCarry, Array, Array | None]]


def dense(params: LayerParams, *features: Array) -> Array:
    """Returns tanh([features] w + b)."""
    return jnp.tanh(product(jnp.concatenate(features, axis=-1), params.w) + params.b)


def plain_loop(cell: Cell) -> LoopFn:
    """Makes the loop of a decoder without attention."""

    def loop(params, carry, xs, switches):
        p = params.params

        def recur(carry, x):
            new, y = cell.step(p.cell, carry.cell, x)
            return carry.replace(cell=new), y

        carry, ys = _through(cell, p, carry, xs, switches, recur)
        return carry, dense(p.readout, ys), None

    return loop


def late_loop(cell: Cell, attention: Attention) -> LoopFn:
    """Makes the loop of multiplicative attention without input feeding: attention reads after all steps of the cell."""

    def loop(params, carry, xs, switches):
        p, source = params.params, _read(attention, params)

        def recur(carry, x):
            new, y = cell.step(p.cell, carry.cell, x)
            return carry.replace(cell=new, coverage=carry.coverage + attention.attend(p.attention, y, source)[1]), y

        begun = carry.coverage
        carry, ys = _through(cell, p, carry, xs, switches, recur)
        contexts, weights = attention.attend(p.attention, ys, source)
        if switches.reset is None:
            read = weights if switches.mask is None else jnp.where(switches.mask[..., None], weights, 0.0)
            carry = carry.replace(coverage=begun + jnp.sum(read, axis=0))
        return carry, dense(p.readout, ys, contexts), weights

    return loop


def additive_loop(cell: Cell, attention: Attention) -> LoopFn:
    """Makes the loop of additive attention: the cell reads what its last output asked for."""

    def loop(params, carry, xs, switches):
        p, source = params.params, _read(attention, params)

        def recur(carry, x):
            context, weights = attention.attend(p.attention, carry.fed, source)
            new, y = cell.step(p.cell, carry.cell, jnp.concatenate([x, context], axis=-1))
            return DecoderCarry(new, y, carry.coverage + weights), (y, context, weights)

        carry, (ys, contexts, weights) = _scan(recur, carry, xs, switches)
        return carry, dense(p.readout, ys, contexts, xs), weights

    return loop


def fed_loop(cell: Cell, attention: Attention) -> LoopFn:
    """Makes the loop of multiplicative attention with input feeding: the cell reads the last readout."""

    def loop(params, carry, xs, switches):
        p, source = params.params, _read(attention, params)

        def recur(carry, x):
            new, y = cell.step(p.cell, carry.cell, jnp.concatenate([x, carry.fed], axis=-1))
            context, weights = attention.attend(p.attention, y, source)
            readout = dense(p.readout, y, context)
            return DecoderCarry(new, readout, carry.coverage + weights), (readout, weights)

        carry, (readouts, weights) = _scan(recur, carry, xs, switches)
        return carry, readouts, weights

    return loop


def _read(attention: Attention, params: Conditioned) -> Source:
    return attention.read(params.params.attention, params.memory, params.mask)


def _through(cell, p, carry, xs, switches, recur) -> tuple[Any, Any]:
    """All steps of a cell that reads the embedded tokens alone; without resets its own, fast, unroll."""
    if switches.reset is not None:
        return _scan(recur, carry, xs, switches)
    new, ys = cell.unroll(p.cell, carry.cell, xs, mask=switches.mask, key=switches.key)
    return carry.replace(cell=new), ys


def _scan(recur, carry, xs, switches):
    return masked_scan(recur, switches.initial, carry, xs, switches.mask, switches.reset)
