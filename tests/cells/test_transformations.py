"""Cells inside what a user puts around them: bfloat16, `shard_map` with its check, `vmap` and `jax.checkpoint`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from lm_jax.cells import (
    block,
    cornn,
    diagonal_gru,
    diagonal_lstm,
    gated_deltanet,
    gru,
    lru,
    lstm,
    mingru,
    minlstm,
    mlstm,
    rglru,
    rnn,
    slstm,
)


def convolved_rglru(input_size, hidden_size, recurrence):
    return rglru(input_size, hidden_size, convolution=3, recurrence=recurrence)


def lru_block(input_size, hidden_size):
    return block(lru(input_size, hidden_size))


XS = jax.random.normal(jax.random.key(1), (4, 2, 3))
MASK = jnp.array([[1, 1], [1, 1], [1, 0], [0, 0]], bool)
RESET = jnp.zeros((4, 2), bool).at[2, 0].set(True)
OPTIONS = {"plain": {}, "masked": {"mask": MASK, "reset": RESET}}
ENGINES = dict.fromkeys((lstm, rnn, gru), ("scan", "fused"))
ENGINES |= dict.fromkeys((mingru, minlstm, lru, rglru, convolved_rglru), ("scan", "associative"))
ENGINES |= dict.fromkeys((mlstm, gated_deltanet), ("scan", "chunkwise"))
ENGINES |= dict.fromkeys((slstm, cornn, diagonal_gru, diagonal_lstm, lru_block), (None,))
CASES = [
    pytest.param((make, recurrence, options), id=f"{make.__name__}-{recurrence}-{name}", marks=marks)
    for make, engines in ENGINES.items()
    for recurrence in engines
    for name, options in OPTIONS.items()
    for marks in ([] if (make, recurrence, name) == (lstm, "fused", "masked") else [pytest.mark.slow],)
]


def loss_of(cell, options):
    """The sum of squares of all outputs and of the last carry."""

    def loss(params, xs, options=options):
        carry, ys = cell.unroll(params, cell.initial_carry(params, xs.shape[1:-1]), xs, **options)
        return sum(jnp.sum(leaf.astype(jnp.float32) ** 2) for leaf in jax.tree.leaves((carry, ys)))

    return loss


@pytest.fixture(params=CASES)
def case(request):
    """A cell, its parameters, its options, its loss, and the gradient of it."""
    make, recurrence, options = request.param
    cell = make(3, 4) if recurrence is None else make(3, 4, recurrence=recurrence)
    params, loss = cell.init(jax.random.key(0)), loss_of(cell, options)
    return cell, params, options, loss, jax.grad(loss)(params, XS)


def assert_near(found, expected, tolerance):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        largest = max(1.0, 0.15 * float(np.abs(b).max()))  # sums that nearly cancel are as near as their terms
        np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=tolerance, atol=tolerance * largest)


@pytest.mark.parametrize(
    "narrow", ["both", pytest.param("params", marks=pytest.mark.slow), pytest.param("inputs", marks=pytest.mark.slow)]
)
def test_cast_to_bfloat16_the_carry_stays_float32_and_the_gradient_is_near(case, narrow):
    cell, params, options, loss, expected = case
    params = params if narrow == "inputs" else jax.tree.map(lambda a: a.astype(jnp.bfloat16), params)
    xs = XS if narrow == "params" else XS.astype(jnp.bfloat16)
    carry = cell.initial_carry(params, (2,))
    narrowed = jax.tree.map(lambda a: a.astype(jnp.bfloat16), carry)  # as a cast of everything leaves it
    for start in (carry, narrowed):
        last, ys = cell.unroll(params, start, xs, **options)
        assert {leaf.dtype for leaf in jax.tree.leaves((carry, last, ys))} == {jnp.dtype("float32")}
    assert {leaf.dtype for leaf in jax.tree.leaves(cell.step(params, carry, xs[0]))} == {jnp.dtype("float32")}
    gradient = jax.grad(loss)(params, xs)
    assert jax.tree.map(jnp.dtype, gradient) == jax.tree.map(jnp.dtype, params)
    assert_near(gradient, expected, 0.1)


def test_inside_shard_map_with_its_check(case):
    """The gradient by weights that are the same on all devices is the sum over them, as without."""
    _, params, options, loss, expected = case
    mesh = Mesh(np.array(jax.devices()[:1]), ("rows",))
    cut, same = PartitionSpec(None, "rows"), PartitionSpec()

    def local(params, xs, options):
        return jax.lax.psum(loss(params, xs, options), "rows")

    over = jax.shard_map(local, mesh=mesh, in_specs=(same, cut, cut), out_specs=same)
    assert_near(jax.grad(over)(params, XS, options), expected, 1e-5)


@pytest.mark.slow
def test_vmap_and_checkpoint(case):
    _, params, _, loss, expected = case
    several = jax.vmap(jax.grad(loss), (None, 0))(params, jnp.stack([XS, 2 * XS]))
    assert_near(jax.tree.map(lambda a: a[0], several), expected, 1e-5)
    assert_near(jax.tree.map(lambda a: a[1], several), jax.grad(loss)(params, 2 * XS), 1e-5)
    assert_near(jax.grad(jax.checkpoint(loss))(params, XS), expected, 1e-5)
