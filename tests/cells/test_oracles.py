"""Cells against loops in numpy with hand-written gradients, and against flax linen."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import gru, lstm, rnn
from tests.oracles import linen, recurrences


NUMPY = {
    "rnn_tanh": (rnn, {}, recurrences.rnn),
    **{
        f"rnn_{f}": (rnn, {"nonlinearity": f}, lambda *a, f=f: recurrences.rnn(*a, nonlinearity=f))
        for f in ("relu", "sigmoid", "identity")
    },
    "gru_after": (gru, {}, recurrences.gru_after),
    "gru_before": (gru, {"reset": "before"}, recurrences.gru_before),
    "lstm": (lstm, {}, recurrences.lstm),
}
LINEN = {"rnn": (rnn, linen.simple), "gru": (gru, linen.gru), "lstm": (lstm, linen.lstm)}
SIZES = {"small": (3, 4, 6, 2), "large": (50, 200, 35, 4)}  # E, H, T, B
# A sum of n products in float32 is off by some sqrt(n) * 6e-8 of its size, over 35 steps; float64 by 1e-16 instead.
TOLERANCES = {"float32": 1e-5, "float64": 1e-10}


def draw(cell, sizes, dtype):
    """(params, carry, xs) and the derivatives of a loss by outputs and last carry, as float32 numbers in `dtype`."""
    _, _, length, batch = sizes
    generator = np.random.default_rng(0)

    def like(shape, scale):
        return jnp.asarray(generator.uniform(-scale, scale, shape).astype(np.float32), dtype)

    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    params = jax.tree.map(lambda s: like(s.shape, cell.output_size**-0.5), shapes)
    carry = jax.tree.map(
        lambda s: like(s.shape, 1.0), jax.eval_shape(lambda p: cell.initial_carry(p, (batch,)), params)
    )
    xs = like((length, batch, cell.input_size), 1.0)
    cotangents = like((length, batch, cell.output_size), 1.0), jax.tree.map(lambda a: like(a.shape, 1.0), carry)
    return (params, carry, xs), cotangents


def outputs_and_gradients(cell, arguments, cotangents):
    """((ys, last carry), gradients by params, carry and xs)."""

    def unrolled(params, carry, xs):
        last, ys = cell.unroll(params, carry, xs)
        return ys, last

    return pull(unrolled, arguments, cotangents)


def pull(function, arguments, cotangents):
    """A function's results, and the derivatives by its arguments of their product with the cotangents."""

    @jax.jit
    def results_and_gradients(arguments, cotangents):
        results, pullback = jax.vjp(function, *arguments)
        return results, pullback(cotangents)

    return results_and_gradients(arguments, cotangents)


def as_numpy(tree):
    """float64 copies; parameters as a dict without the fields that a form does not have."""
    if dataclasses.is_dataclass(tree):
        return {name: as_numpy(value) for name, value in vars(tree).items() if value is not None}
    return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)


def assert_near(actual, expected, tolerance):
    """Leaf by leaf up to `tolerance` times the largest entry."""
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", NUMPY)
def test_outputs_and_gradients_equal_those_of_a_numpy_loop(name, dtype, sizes, x64):
    factory, options, oracle = NUMPY[name]
    cell = factory(*sizes[:2], **options)
    arguments, cotangents = draw(cell, sizes, dtype)
    results, gradients = outputs_and_gradients(cell, arguments, cotangents)
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves((results, gradients)))

    ys, last, backward = oracle(*map(as_numpy, arguments))
    assert_near(results, (ys, last), TOLERANCES[dtype])
    assert_near([as_numpy(g) for g in gradients], list(backward(*map(as_numpy, cotangents))), TOLERANCES[dtype])


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", LINEN)
def test_outputs_and_gradients_equal_those_of_linen(name, sizes):
    factory, oracle = LINEN[name]
    cell = factory(*sizes[:2])
    arguments, cotangents = draw(cell, sizes, "float32")
    expected = pull(oracle, arguments, cotangents)
    assert_near(outputs_and_gradients(cell, arguments, cotangents), expected, TOLERANCES["float32"])
