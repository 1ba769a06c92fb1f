"""Our cells inside nnx's layers, and parameters to nnx's cells and back, its GRU without b_hn among them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from lm_jax.cells import gru, lstm, rnn, stacked
from lm_jax.encoders import bidirectional
from lm_jax.errors import UserError
from lm_jax.interop.nnx import as_nnx, params_from_nnx, params_to_nnx
from tests.cases import B, T, assert_close, assert_identical
from tests.catalogue import CELLS, entry, running_mean


LENGTHS = np.array([6, 2, 4, 1])
RAGGED = np.arange(T)[:, None] < LENGTHS
XS = np.random.default_rng(2).normal(size=(T, B, 3)).astype(np.float32)


@pytest.mark.parametrize("name", ["gru_before", "stack_dense", "running_mean"])
def test_a_cell_inside_nnx_rnn_equals_its_unroll(name):
    cell = CELLS[name].subject
    params = CELLS[name].make_params(jax.random.key(0))
    layer = nnx.RNN(as_nnx(cell, params), time_major=True, return_carry=True)
    carry, ys = layer(XS, seq_lengths=LENGTHS)
    expected = jax.jit(cell.unroll)(params, cell.initial_carry(params, (B,)), XS, mask=RAGGED)
    assert_close((carry, ys[RAGGED]), (expected[0], expected[1][RAGGED]), 1e-6)
    assert_identical(layer.cell.params(), params)


def test_cells_inside_nnx_bidirectional_equal_the_encoder():
    cells = lstm(3, 4), running_mean(3, 5)
    encoder = bidirectional(*cells)
    params = entry(encoder).make_params(jax.random.key(0))
    both = [nnx.RNN(as_nnx(*pair)) for pair in zip(cells, (params.forward, params.backward), strict=True)]
    ys = nnx.Bidirectional(*both, time_major=True)(XS, seq_lengths=LENGTHS)
    assert_close(ys[RAGGED], jax.jit(encoder.encode)(params, XS, mask=RAGGED)[RAGGED], 1e-6)


def test_an_nnx_optimizer_takes_the_step_that_optax_takes():
    cell, optimizer = gru(3, 4), optax.sgd(0.1)
    params = entry(cell).make_params(jax.random.key(0))
    layer = nnx.RNN(as_nnx(cell, params), time_major=True)
    state = nnx.Optimizer(layer, optimizer, wrt=nnx.Param)

    @nnx.jit
    def train_step(layer, state):
        state.update(layer, nnx.grad(lambda layer: jnp.sum(jnp.cos(layer(XS))))(layer))

    train_step(layer, state)

    def through_unroll(params):
        return jnp.sum(jnp.cos(cell.unroll(params, cell.initial_carry(params, (B,)), XS)[1]))

    updates, _ = optimizer.update(jax.jit(jax.grad(through_unroll))(params), optimizer.init(params))
    assert_close(layer.cell.params(), optax.apply_updates(params, updates), 1e-6)
    assert np.any(layer.cell.params().b_hn != params.b_hn)


THEIRS = {
    "SimpleCell": (rnn(3, 4), nnx.SimpleCell),
    "GRUCell": (gru(3, 4), nnx.GRUCell),
    "LSTMCell": (lstm(3, 4), nnx.LSTMCell),
    "OptimizedLSTMCell": (lstm(3, 4), nnx.OptimizedLSTMCell),
}


@pytest.fixture(params=THEIRS)
def pair(request):
    """(our cell, nnx's, the parameters of nnx's cell: all of them drawn, biases too)."""
    ours, make = THEIRS[request.param]
    theirs = make(3, 4, rngs=nnx.Rngs(0))
    generator = np.random.default_rng(3)
    drawn = jax.tree.map(lambda a: jnp.asarray(generator.normal(size=a.shape), a.dtype), tensors_of(theirs))
    nnx.update(theirs, drawn)
    return ours, theirs, drawn


def tensors_of(nnx_cell):
    return nnx.to_pure_dict(nnx.state(nnx_cell, nnx.Param))


def test_weights_of_nnx_give_its_outputs(pair):
    ours, theirs, drawn = pair
    params = params_from_nnx(ours, drawn)
    assert jax.tree.structure(params) == jax.tree.structure(jax.eval_shape(ours.init, jax.random.key(0)))
    ys = nnx.RNN(theirs, time_major=True)(XS)
    assert_close(ours.unroll(params, ours.initial_carry(params, (B,)), XS)[1], ys, 1e-6)


def test_round_trips_to_the_last_bit(pair):
    ours, theirs, drawn = pair
    split = isinstance(theirs, nnx.LSTMCell)
    again = params_to_nnx(params_from_nnx(ours, drawn), split_gates=split)
    assert jax.tree.structure(again) == jax.tree.structure(drawn)
    assert_identical(again, drawn)
    params = entry(ours).make_params(jax.random.key(5))
    if isinstance(theirs, nnx.GRUCell):
        params = params.replace(b_hn=jnp.zeros(4))
    nnx.update(theirs, params_to_nnx(params, split_gates=split))
    assert_identical(params_from_nnx(ours, tensors_of(theirs)), params)


def test_the_bias_that_nnx_lacks_is_not_dropped_in_silence():
    params = entry(gru(3, 4)).make_params(jax.random.key(0)).replace(b_hn=jnp.array([0.0, -0.25, 0.0, 0.0]))
    with pytest.raises(UserError, match=r"no bias on the recurrent product of n, so that b_hn must be 0, got .* 0\.25"):
        params_to_nnx(params)


def test_what_is_missing_extra_or_misshapen_is_refused_by_name(pair):
    ours, _, drawn = pair
    flat = flatten_dict(drawn)
    for path, tensor in flat.items():
        name = "/".join(path)
        with pytest.raises(UserError, match=f"{name} must have the shape .*, got"):
            params_from_nnx(ours, unflatten_dict({**flat, path: tensor[..., :-1]}))
        with pytest.raises(UserError, match=f"lack {name}, of shape"):
            params_from_nnx(ours, {**drawn, path[0]: {k: v for k, v in drawn[path[0]].items() if k != path[1]}})
    with pytest.raises(UserError, match="have hx/bias, for which this cell has no place"):
        params_from_nnx(ours, {**drawn, "hx": {"bias": jnp.zeros(4)}})


def test_what_is_no_cell_and_no_dict_is_refused(pair):
    encoder = bidirectional(gru(3, 4), gru(3, 4))
    with pytest.raises(UserError, match="takes a Cell, which has steps, got Encoder"):
        as_nnx(encoder, encoder.init(jax.random.key(0)))
    ours, theirs, _ = pair
    for given, name in ((nnx.state(theirs, nnx.Param), "State"), (theirs, type(theirs).__name__)):
        with pytest.raises(UserError, match=rf"must be a dict \(of nnx: nnx.to_pure_dict\), got {name}"):
            params_from_nnx(ours, given)


def test_cells_that_nnx_has_not_are_refused():
    cells = {
        'got parameters of a GRU with reset="before"': gru(3, 4, reset="before"),
        "only, got parameters StackParams": stacked([gru(3, 4), gru(4, 4)]),
    }
    for message, cell in cells.items():
        with pytest.raises(UserError, match=message):
            params_to_nnx(entry(cell).make_params(jax.random.key(0)))
        with pytest.raises(UserError, match=message):
            params_from_nnx(cell, {})
