"""Encoders on top of each other: plain, residual, highway and dense connections, with dropout between them.

The connections are those of a stack of cells (lm_jax/cells/stack.py), with layers that may read both ways:

    plain      y_k = e_k(u_k)                                  u_{k+1} = y_k
    residual   y_k = u_k + e_k(u_k)                            u_{k+1} = y_k
    highway    y_k = t * e_k(u_k) + (1 - t) * u_k              u_{k+1} = y_k
    dense      y_k = e_k(u_k)                                  u_{k+1} = [u_k, y_k]
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import struct

from lm_jax.caching import cached
from lm_jax.cells.stack import HighwayParams, check_connection, connect, init_gate
from lm_jax.encoders.base import Encoder, check_kind, masked
from lm_jax.errors import UserError
from lm_jax.layers import Dropout, dropout
from lm_jax.types import Params


@struct.dataclass
class HighwayEncoderParams:
    """Per layer: the encoder's parameters, and those of its highway gate (None where there is none)."""

    layers: tuple[Params, ...]
    gates: tuple[HighwayParams | None, ...]


@cached
def stacked_encoder(
    encoders: Sequence[Encoder],
    connection: str = "plain",
    *,
    dropout_rate: float = 0.0,
    dropout_kind: str = "elementwise",
) -> Encoder:
    """Encoders on top of each other, each reading the outputs of the one below.

    The parameters are a tuple of theirs; with highway connections, `HighwayEncoderParams`.

    Args:
        encoders: the layers, the lowest first.
        connection: "plain", "residual", "highway" or "dense"; see the module. Where the sizes of a layer differ,
            residual and highway connections leave out the first.
        dropout_rate: the share dropped of what a layer hands to the next, only when `encode` is given a key.
        dropout_kind: "elementwise", or "locked" in time.

    Returns:
        The stack.

    Raises:
        UserError: for no encoder, for what is none, and where the sizes of neighbours do not fit the connection.
    """
    rates = Dropout(dropout_rate, dropout_kind)
    _check(encoders, connection)
    skips = [connection in ("residual", "highway") and e.input_size == e.output_size for e in encoders]
    highway = connection == "highway"

    def init(key):
        if not highway:
            keys = jax.random.split(key, len(encoders))
            return tuple(encoder.init(k) for encoder, k in zip(encoders, keys, strict=True))
        keys = jax.random.split(key, 2 * len(encoders))
        gates = tuple(
            init_gate(k, encoder.output_size) if skip else None
            for k, encoder, skip in zip(keys[len(encoders) :], encoders, skips, strict=True)
        )
        return HighwayEncoderParams(tuple(e.init(k) for e, k in zip(encoders, keys, strict=False)), gates)

    def encode_by(unroll, params, xs, *, mask=None, key=None):
        layers, gates = (params.layers, params.gates) if highway else (params, (None,) * len(encoders))
        keys = _keys(key, len(encoders), rates.layer_rate)
        us = ys = xs
        for layer, encoder in enumerate(encoders):
            if layer > 0:
                handed = dropout(keys[len(encoders) + layer], rates.layer_rate, ys, rates.kind)
                us = jnp.concatenate([us, handed], axis=-1) if connection == "dense" else handed
            encode = encoder.encode if unroll is None else _encode_with(encoder, unroll, layer)
            ys = encode(layers[layer], us, mask=mask, key=keys[layer])
            ys = masked(mask, connect(gates[layer], us, ys)) if skips[layer] else ys
        return ys

    encode, first, last = functools.partial(encode_by, None), encoders[0], encoders[-1]
    encode_with = encode_by if all(encoder.encode_with for encoder in encoders) else None
    return Encoder(init, encode, first.input_size, last.output_size, last.forward_size, encode_with)


def _encode_with(encoder, unroll, layer):
    """`encode_with` of a layer, whose cells know their place in the stack."""

    def unroll_in_layer(cell, params, xs, mask, key, place):
        return unroll(cell, params, xs, mask, key, place._replace(layer=(layer, *place.layer)))

    return functools.partial(encoder.encode_with, unroll_in_layer)


def _keys(key, count, rate):
    """Keys of the layers, then of the dropout below each; without dropout the layers' are those of a plain stack."""
    if key is None:
        return [None] * (2 * count)
    if rate == 0.0:
        return [*jax.random.split(key, count), *[None] * count]
    return list(jax.random.split(key, 2 * count))


def _check(encoders, connection):
    if not encoders:
        raise UserError("a stacked encoder needs at least one encoder, got none")
    for encoder in encoders:
        check_kind(Encoder, "a stacked encoder is made of Encoders (of a cell: unidirectional)", encoder)
    check_connection(connection, [(encoder.input_size, encoder.output_size) for encoder in encoders])
