"""Our cells inside linen's layers, and parameters to linen's cells and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.core import freeze
from flax.traverse_util import flatten_dict, unflatten_dict

from lm_jax.cells import gru, lstm, rnn, stacked
from lm_jax.encoders import bidirectional
from lm_jax.errors import UserError
from lm_jax.interop.linen import as_linen, params_from_linen, params_to_linen
from tests.cases import B, T, assert_close, assert_identical
from tests.catalogue import CELLS, entry, running_mean


LENGTHS = np.array([6, 2, 4, 1])
RAGGED = np.arange(T)[:, None] < LENGTHS
XS = np.random.default_rng(2).normal(size=(T, B, 3)).astype(np.float32)
DROPPED = ["rnn_relu", "gru_before", "lstm_fused", "stack_dense", "stack_dropout", "running_mean"]


@pytest.mark.parametrize("name", DROPPED)
def test_a_cell_inside_linen_rnn_equals_its_unroll(name):
    cell = CELLS[name].subject
    params = CELLS[name].make_params(jax.random.key(0))
    layer = nn.RNN(as_linen(cell), time_major=True, return_carry=True)
    carry, ys = layer.apply({"params": {"cell": {"cell_params": params}}}, XS, seq_lengths=LENGTHS)
    start = cell.initial_carry(params, (B,))
    expected_carry, expected_ys = jax.jit(cell.unroll)(params, start, XS, mask=RAGGED)
    assert_close((carry, ys[RAGGED]), (expected_carry, expected_ys[RAGGED]), 1e-6)


def test_batch_first_and_a_carry_handed_on():
    cell = lstm(3, 4)
    params = entry(cell).make_params(jax.random.key(0))
    layer = nn.RNN(as_linen(cell), return_carry=True)
    variables = {"params": {"cell": {"cell_params": params}}}
    rows = np.swapaxes(XS, 0, 1)
    carry, first = layer.apply(variables, rows[:, :3])
    carry, second = layer.apply(variables, rows[:, 3:], initial_carry=carry)
    expected = cell.unroll(params, cell.initial_carry(params, (B,)), XS)
    assert_close((carry, jnp.swapaxes(jnp.concatenate([first, second], axis=1), 0, 1)), expected, 1e-6)


def test_cells_inside_linen_bidirectional_equal_the_encoder():
    cells = stacked([gru(3, 4), lstm(4, 4)], "highway"), running_mean(3, 5)
    encoder = bidirectional(*cells)
    params = entry(encoder).make_params(jax.random.key(0))
    layer = nn.Bidirectional(*[nn.RNN(as_linen(cell)) for cell in cells], time_major=True)
    forward, backward = ({"cell": {"cell_params": p}} for p in (params.forward, params.backward))
    ys = layer.apply({"params": {"forward_rnn": forward, "backward_rnn": backward}}, XS, seq_lengths=LENGTHS)
    assert_close(ys[RAGGED], jax.jit(encoder.encode)(params, XS, mask=RAGGED)[RAGGED], 1e-6)


@pytest.mark.parametrize("cell", [lstm(3, 4), running_mean(3, 4)], ids=["lstm", "learnt_start"])
def test_init_and_gradients_through_linen(cell):
    """`init` makes what `cell.init` makes, and training through linen sees the gradients of `unroll`."""
    layer = nn.RNN(as_linen(cell), time_major=True)
    variables = layer.init(jax.random.key(0), XS)
    params = variables["params"]["cell"]["cell_params"]
    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(lambda s: s.shape, shapes)

    def through_linen(variables):
        return jnp.sum(jnp.cos(layer.apply(variables, XS)))

    def through_unroll(params):
        return jnp.sum(jnp.cos(cell.unroll(params, cell.initial_carry(params, (B,)), XS)[1]))

    gradient = jax.jit(jax.grad(through_linen))(variables)["params"]["cell"]["cell_params"]
    assert_close(gradient, jax.jit(jax.grad(through_unroll))(params), 1e-5)


def test_the_idiom_of_linen_cells():
    """A carry from an unbound cell, then init and apply of one step."""
    cell, x = as_linen(gru(3, 4)), XS[0]
    carry = cell.initialize_carry(jax.random.key(0), x.shape)
    variables = cell.init(jax.random.key(1), carry, x)
    _, y = cell.apply(variables, carry, x)
    assert carry.shape == (B, 4) and not np.any(carry) and cell.num_feature_axes == 1
    np.testing.assert_array_equal(y, gru(3, 4).step(variables["params"]["cell_params"], carry, x)[1])


THEIRS = {
    "SimpleCell": (rnn(3, 4), nn.SimpleCell(4)),
    "SimpleCell_relu": (rnn(3, 4, nonlinearity="relu"), nn.SimpleCell(4, activation_fn=nn.relu)),
    "GRUCell": (gru(3, 4), nn.GRUCell(4)),
    "LSTMCell": (lstm(3, 4), nn.LSTMCell(4)),
    "OptimizedLSTMCell": (lstm(3, 4), nn.OptimizedLSTMCell(4)),
}


@pytest.fixture(params=THEIRS)
def pair(request):
    """(our cell, linen's, parameters of linen's cell: all of them drawn, biases too)."""
    ours, theirs = THEIRS[request.param]
    shapes = jax.eval_shape(nn.RNN(theirs).init, jax.random.key(0), XS)["params"]["cell"]
    generator = np.random.default_rng(3)
    return ours, theirs, jax.tree.map(lambda s: jnp.asarray(generator.normal(size=s.shape), s.dtype), shapes)


def test_weights_of_linen_give_linens_outputs(pair):
    ours, theirs, linen_params = pair
    params = params_from_linen(ours, linen_params)
    assert jax.tree.structure(params) == jax.tree.structure(jax.eval_shape(ours.init, jax.random.key(0)))
    carry, ys = nn.RNN(theirs, time_major=True, return_carry=True).apply({"params": {"cell": linen_params}}, XS)
    last, expected = ours.unroll(params, ours.initial_carry(params, (B,)), XS)
    assert_close(expected, ys, 1e-6)
    assert_close((last.c, last.h) if isinstance(carry, tuple) else last, carry, 1e-6)


def test_round_trips_to_the_last_bit(pair):
    ours, _, linen_params = pair
    params = params_from_linen(ours, linen_params)
    again = params_to_linen(params)
    assert jax.tree.structure(again) == jax.tree.structure(linen_params)
    assert_identical(again, linen_params)
    drawn = entry(ours).make_params(jax.random.key(5))
    assert_identical(params_from_linen(ours, freeze(params_to_linen(drawn))), drawn)


def test_what_is_missing_extra_or_misshapen_is_refused_by_name(pair):
    ours, _, linen_params = pair
    flat = flatten_dict(linen_params)
    for path, tensor in flat.items():
        name = "/".join(path)
        without = unflatten_dict({p: t for p, t in flat.items() if p != path})
        with pytest.raises(UserError, match=f"lack {name}, of shape") as missing:
            params_from_linen(ours, without)
        with pytest.raises(UserError, match=f"{name} must have the shape .*, got") as misshapen:
            params_from_linen(ours, unflatten_dict({**flat, path: tensor[..., :-1]}))
        assert not any("\n" in str(error.value) for error in (missing, misshapen))
    with pytest.raises(UserError, match="have hx/bias, for which this cell has no place"):
        params_from_linen(ours, {**linen_params, "hx": {"bias": jnp.zeros(4)}})


def test_what_is_no_cell_and_no_dict_is_refused():
    with pytest.raises(UserError, match="takes a Cell, which has steps, got Encoder"):
        as_linen(bidirectional(gru(3, 4), gru(3, 4)))
    with pytest.raises(UserError, match=r"must be a dict .*, got NoneType"):
        params_from_linen(gru(3, 4), None)


def test_cells_that_linen_has_not_are_refused():
    before, stack = gru(3, 4, reset="before"), stacked([gru(3, 4), gru(4, 4)])
    with pytest.raises(UserError, match='got parameters of a GRU with reset="before"'):
        params_to_linen(entry(before).make_params(jax.random.key(0)))
    with pytest.raises(UserError, match='got parameters of a GRU with reset="before"'):
        params_from_linen(before, params_to_linen(entry(gru(3, 4)).make_params(jax.random.key(0))))
    for cell, name in ((stack, "StackParams"), (running_mean(3, 4), "dict")):
        with pytest.raises(UserError, match=f"rnn, gru and lstm only, got parameters {name}"):
            params_to_linen(entry(cell).make_params(jax.random.key(0)))
        with pytest.raises(UserError, match=f"rnn, gru and lstm only, got parameters {name}"):
            params_from_linen(cell, {})
