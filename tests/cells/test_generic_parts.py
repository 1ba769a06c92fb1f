"""The fused engine for cells of one's own: a minimal gated unit, and an LSTM that couples its gates."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from lm_jax.cells.base import hoisted_cell
from lm_jax.cells.engines.generic_parts import cell_parts
from lm_jax.cells.engines.selection import with_recurrence
from lm_jax.cells.lstm import LSTMCarry
from lm_jax.layers import product
from tests.cells.test_fused import B, H, arguments, largest_reverse_carry, results, switches_of


@struct.dataclass
class Params:
    """w_x [E, kH], w_h [H, kH], b [kH]."""

    w_x: jax.Array
    w_h: jax.Array
    b: jax.Array


def minimal_gated(h, z, p):
    """Zhou et al. 2016, reset after the product: the product of n is multiplied by a gate."""
    (f_x, n_x), (f_h, n_h) = jnp.split(z, 2, -1), jnp.split(p, 2, -1)
    f = jax.nn.sigmoid(f_x + f_h)
    h = (1 - f) * h + f * jnp.tanh(n_x + f * n_h)
    return h, h


def coupled(carry, z, p):
    """An LSTM whose input gate is what the forget gate leaves."""
    f, g, o = jnp.split(z + p, 3, -1)
    f, g, o = jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    c = f * carry.c + (1 - f) * g
    h = o * jnp.tanh(c)
    return LSTMCarry(h, c), h


CELLS = {"minimal_gated": (minimal_gated, 2, lambda carry: carry), "coupled": (coupled, 3, lambda carry: carry.h)}


@functools.cache
def pair(kind, size, compute_dtype=None):
    """The cell on each engine."""
    f, gates, hidden = CELLS[kind]

    def init(key):
        w = jax.random.normal(key, (2 * size + 1, gates * size)) / size**0.5
        return Params(w[:size], w[size:-1], w[-1])

    def initial_carry(params, batch_shape):
        zeros = jnp.zeros((*batch_shape, size), params.w_h.dtype)
        return zeros if kind == "minimal_gated" else LSTMCarry(zeros, zeros + 0)

    def project(params, xs):
        return product(xs, params.w_x) + params.b

    def arrange(params):
        return params.w_h.astype(compute_dtype or params.w_h.dtype)

    def recur(w_h, carry, z):
        return f(carry, z, product(hidden(carry), w_h))

    cell = hoisted_cell(init, initial_carry, project, arrange, recur, size, size)
    parts = cell_parts(f, hidden, compute_dtype)
    return cell, with_recurrence("fused", cell, project, lambda params: (params.w_h,), parts)


def assert_equal_engines(kind, steps, switches, tolerance, dtype, compute_dtype=None):
    scan, fused = pair(kind, 8, compute_dtype)
    given, switches = arguments(scan, steps, dtype), switches_of(switches, steps)
    expected, actual = (results(cell, switches)(*given) for cell in (scan, fused))
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.max(np.abs(b)))


@pytest.mark.parametrize("switches", ["plain", "both"])
@pytest.mark.parametrize("kind", CELLS)
def test_fused_equals_scan(kind, switches, x64):
    assert_equal_engines(kind, 7, switches, 1e-10, np.float64)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CELLS)
def test_bfloat16_operands(kind):
    assert_equal_engines(kind, 7, "both", 2e-2, np.float32, "bfloat16")


@pytest.mark.parametrize("kind", CELLS)
def test_the_reverse_loop_carries_no_gradient_of_weights(kind):
    scan, fused = pair(kind, H)
    assert largest_reverse_carry(fused) == B * H
    assert largest_reverse_carry(scan) >= H * H
