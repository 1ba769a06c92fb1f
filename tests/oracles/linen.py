"""Flax linen's recurrent cells on our parameters: an independent implementation, not a source of truth about ours."""

from flax import linen as nn
from jax import numpy as jnp


def run(cell, linen_params, carry, xs):
    """(outputs [T, B, H], last carry) of a linen cell."""
    layer = nn.RNN(cell, time_major=True, return_carry=True)
    last, ys = layer.apply({"params": {"cell": linen_params}}, xs, initial_carry=carry)
    return ys, last


def simple(params, h, xs):
    """SimpleCell."""
    linen_params = {"i": {"kernel": params.w_x, "bias": params.b}, "h": {"kernel": params.w_h}}
    return run(nn.SimpleCell(h.shape[-1]), linen_params, h, xs)


def gru(params, h, xs):
    """GRUCell: gates r, z, n with biases on the input's side, and one on the recurrent product of n."""
    gates = {}
    for gate, w_x, w_h, b in zip("rzn", *_by_gate(params, 3), strict=True):
        gates |= {f"i{gate}": {"kernel": w_x, "bias": b}, f"h{gate}": {"kernel": w_h}}
    gates["hn"]["bias"] = params.b_hn
    return run(nn.GRUCell(h.shape[-1]), gates, h, xs)


def lstm(params, carry, xs):
    """OptimizedLSTMCell: its carry is (c, h), its biases are on the recurrent side."""
    gates = {}
    for gate, w_x, w_h, b in zip("ifgo", *_by_gate(params, 4), strict=True):
        gates |= {f"i{gate}": {"kernel": w_x}, f"h{gate}": {"kernel": w_h, "bias": b}}
    ys, (c, h) = run(nn.OptimizedLSTMCell(carry.h.shape[-1]), gates, (carry.c, carry.h), xs)
    return ys, type(carry)(h, c)


def _by_gate(params, gates):
    return [jnp.split(a, gates, axis=-1) for a in (params.w_x, params.w_h, params.b)]
