"""Stacks equal their equations, and what is dropped is dropped where and as often as stated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import RNNParams, drop_connect, gru, lstm, rnn, stacked
from lm_jax.cells.stack import StackParams
from tests.cases import assert_close, draw_like


T, B, N = 6, 3, 4
XS = np.random.default_rng(0).normal(size=(T, B, N)).astype(np.float32)
ONES = np.ones((T, B, N), np.float32)


def sigmoid(a):
    """1 / (1 + exp(-a))."""
    return 1 / (1 + np.exp(-a))


def layer_by_layer(connection, cells, params, xs):
    """The equations of lm_jax.cells.stack, each layer unrolled over all time before the next."""
    u = xs
    for cell, p, gate in zip(cells, params.cells, params.gates, strict=True):
        _, y = jax.jit(cell.unroll)(p, cell.initial_carry(p, (B,)), u)
        y = np.asarray(y)
        fits = cell.input_size == cell.output_size
        if connection == "residual" and fits:
            y = u + y
        if connection == "highway" and fits:
            t = sigmoid(u @ gate.w_t + gate.b_t)
            y = t * y + (1 - t) * u
        u = np.concatenate([u, y], axis=-1) if connection == "dense" else y
    return y


@pytest.mark.parametrize("first", [N, 2], ids=["first_fits", "first_differs"])
@pytest.mark.parametrize("connection", ["plain", "residual", "highway", "dense"])
def test_a_stack_equals_its_equations(connection, first):
    grown = (first + N, first + 2 * N) if connection == "dense" else (N, N)
    cells = [lstm(first, N), gru(grown[0], N), rnn(grown[1], N)]
    stack = stacked(cells, connection)
    params = draw_like(jax.eval_shape(stack.init, jax.random.key(0)), seed=1)
    xs = XS[..., :first]
    _, ys = jax.jit(stack.unroll)(params, stack.initial_carry(params, (B,)), xs)
    assert_close(ys, layer_by_layer(connection, cells, params, xs), 1e-5)


def test_highway_gates_begin_nearly_closed():
    stack = stacked([rnn(N, N), rnn(N, N)], "highway")
    gates = stack.init(jax.random.key(0)).gates
    assert all(np.all(gate.b_t == -1.0) for gate in gates)
    assert stacked([rnn(3, N), rnn(N, N)], "highway").init(jax.random.key(0)).gates[0] is None


def linear(memory=0.0):
    """y_t = x_t + memory * y_{t-1}: a cell that shows what it was handed."""
    cell = rnn(N, N, nonlinearity="identity")
    return cell, RNNParams(jnp.eye(N), memory * jnp.eye(N), jnp.zeros((N,)))


def dropped_ones(kind, rate, key):
    """What the second layer of a linear stack receives when the first hands on ones."""
    cell, params = linear()
    stack = stacked([cell, cell], dropout_rate=rate, dropout_kind=kind)
    params = StackParams((params, params), (None, None))
    return stack.unroll(params, stack.initial_carry(params, (B,)), ONES, key=key)[1]


def test_elementwise_masks_are_drawn_at_every_step_and_locked_ones_once():
    elementwise, locked = (np.asarray(dropped_ones(kind, 0.5, jax.random.key(0))) for kind in ("elementwise", "locked"))
    assert np.all(locked == locked[:1]) and not np.all(elementwise == elementwise[:1])
    assert len(np.unique(locked[0], axis=0)) > 1  # every row of the batch has a mask of its own


@pytest.mark.parametrize("kind", ["elementwise", "locked"])
def test_dropout_preserves_the_expectation(kind):
    """2,000 draws of 0 or 4/3: the standard error is sqrt(1/3 / 2000) = 0.013, and 72 means stay within 5 of it."""
    draws = jax.jit(jax.vmap(lambda key: dropped_ones(kind, 0.25, key)))(jax.random.split(jax.random.key(0), 2000))
    assert set(np.unique(draws)) == {np.float32(0), np.float32(1 / 0.75)}
    np.testing.assert_allclose(np.mean(draws, axis=0), 1.0, atol=0.065)


def test_drop_connect_draws_the_weights_once_for_all_steps():
    """y_t = 1 + m y_{t-1} with m = 0 where the weight is absent, 2 where it is kept: 1, 1, 1 ... or 1, 3, 7 ..."""
    cell, params = linear(memory=1.0)
    _, ys = drop_connect(cell, 0.5).unroll(params, jnp.zeros((B, N)), ONES, key=jax.random.key(0))
    columns = {tuple(column) for column in np.asarray(ys[:3]).reshape(3, -1).T}
    assert columns == {(1, 1, 1), (1, 3, 7)}
    assert np.all(np.asarray(ys) == np.asarray(ys)[:, :1])  # the same for all rows


def test_a_rate_of_zero_changes_nothing():
    np.testing.assert_array_equal(dropped_ones("locked", 0.0, jax.random.key(0)), ONES)
    assert drop_connect(lstm(3, 4), 0.0) is lstm(3, 4)
