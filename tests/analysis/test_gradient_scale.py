"""A gradient flow of any size: nothing underflows, nothing overflows, and no array is larger than it must be."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.analysis import gradient_flow
from lm_jax.analysis.gradient_flow import flow_on_device
from lm_jax.cells import LSTMParams, RNNParams, lstm, rnn, stacked
from lm_jax.cells.stack import StackParams
from lm_jax.models import recurrent_lm
from lm_jax.models.recurrent import RecurrentLMParams


V, H = 5, 4
LINEAR = rnn(H, H, nonlinearity="identity")
GENERATOR = np.random.default_rng(0)
TOKENS = GENERATOR.integers(V, size=(1001, 1))
ROTATION = np.linalg.qr(GENERATOR.normal(size=(H, H)))[0]


def around(cell, cell_params):
    """(model, params): embeddings of zero, so that states stay zero, and a random softmax."""
    w_out = jnp.asarray(GENERATOR.normal(size=(H, V)), jnp.float32)
    params = RecurrentLMParams(jnp.zeros((V, H)), cell_params, w_out, jnp.asarray(GENERATOR.normal(size=V)))
    return recurrent_lm(V, cell), params


def linear_params(w_h):
    """Of a linear layer whose input passes unchanged."""
    return RNNParams(jnp.eye(H), jnp.asarray(w_h, jnp.float32), jnp.zeros(H))


def along_lags(norms, first):
    """log G at [i, i-l] for l = first .. T-1, of the last prediction i."""
    return norms[0, -1, ::-1][first:]


@pytest.mark.parametrize("rho", [0.5, 0.871, 1.0, 2.0])
def test_a_scaled_rotation_gives_powers_of_its_scale(rho):
    """0.871^1000 is 1e-60 and 2^1000 1e301, in float32."""
    # a permutation with signs keeps powers of two exact
    w_h = rho * (ROTATION if rho == 0.871 else np.roll(np.diag([1, -1, 1, -1]), 1, axis=0))
    flow = gradient_flow(*around(LINEAR, linear_params(w_h)), TOKENS)
    lags = np.arange(1, 1000)
    tolerance = 1e-4 if rho == 0.871 else 1e-6  # 1,000 products in float32
    expected = flow.output[0, -1] + lags * math.log(np.float32(rho))
    np.testing.assert_allclose(along_lags(flow.carry[0]["h"], 1), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("upper", [2.0**-2, 2.0**2])
def test_layers_vanish_or_explode_each_at_its_own_rate(upper):
    """The upper layer's gradient goes to 4^-300 or 4^300 beside one of the lower layer near 1, or above it."""
    cell_params = StackParams((linear_params(np.eye(H)), linear_params(upper * np.eye(H))), (None, None))
    flow = gradient_flow(*around(stacked([LINEAR, LINEAR]), cell_params), TOKENS[:302])
    lags = np.arange(1, 301)
    np.testing.assert_allclose(
        along_lags(flow.carry[1]["h"], 1), flow.output[0, -1] + lags * math.log(upper), atol=1e-5
    )
    # from edge j the lower layer goes up at one of the steps j+1 .. i: the sum of upper^(0 .. l-1)
    through = np.logaddexp.accumulate(np.arange(300) * math.log(upper))
    np.testing.assert_allclose(along_lags(flow.carry[0]["h"], 1), flow.output[0, -1] + through, rtol=1e-6, atol=1e-4)


def test_an_lstm_that_forgets_and_writes_nothing_hands_on_all_of_dc():
    """f = 1 and i = 0 exactly, o a constant: at every lag dJ_i/dc is that of one step, and there is no dJ_i/dh."""
    biases = jnp.asarray(np.repeat([-200.0, 200.0, 0.0, 0.5], H), jnp.float32)
    w_h = jnp.asarray(GENERATOR.normal(size=(H, 4 * H)), jnp.float32).at[:, 3 * H :].set(0.0)
    model, params = around(lstm(H, H), LSTMParams(jnp.zeros((H, 4 * H)), w_h, biases))
    carry = jax.tree.map(lambda leaf: leaf + 0.3, model.initial_carry(params, (1,)))
    flow = gradient_flow(model, params, TOKENS, carry=carry)
    one_step = np.log(jax.nn.sigmoid(0.5) * (1 - np.tanh(0.3) ** 2))
    past = np.tri(1000, k=-1, dtype=bool)
    expected = np.broadcast_to(flow.output[0, :, None] + one_step, (1000, 1000))
    np.testing.assert_allclose(flow.carry[0]["c"][0, past], expected[past], rtol=0, atol=1e-6)
    for i in (1, 500, 999):
        assert len(set(flow.carry[0]["c"][0, i, :i])) == 1
    np.testing.assert_array_equal(flow.carry[0]["all"], flow.carry[0]["c"])
    assert np.all(np.isneginf(flow.carry[0]["h"]))


def test_a_gate_that_is_shut_stops_the_gradient():
    """-inf and not NaN: f = 0 exactly, with no way through h."""
    biases = jnp.asarray(np.repeat([0.0, -200.0, 0.0, 0.0], H), jnp.float32)
    cell_params = LSTMParams(jnp.zeros((H, 4 * H)), jnp.zeros((H, 4 * H)), biases)
    flow = gradient_flow(*around(lstm(H, H), cell_params), TOKENS[:8])
    assert all(np.all(np.isneginf(norms)) for norms in flow.carry[0].values())
    assert np.all(np.isfinite(flow.output))


def test_what_has_overflowed_is_not_taken_for_nothing():
    model, params = around(LINEAR, linear_params(np.eye(H)))
    flow = gradient_flow(model, params.replace(cell=linear_params(np.full((H, H), np.inf))), TOKENS[:5])
    past = np.tri(4, k=-1, dtype=bool)
    assert np.all(np.isnan(flow.carry[0]["h"][0, past]))


def shapes_of(jaxpr):
    """Of every array in a program, loops and calls included."""
    for equation in jaxpr.eqns:
        yield from (variable.aval.shape for variable in (*equation.invars, *equation.outvars))
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else [value]:
                if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                    yield from shapes_of(getattr(inner, "jaxpr", inner))


def program(cell, vocab_size, steps, batch_size=1):
    """The flow as a function of arrays, and their shapes."""
    model = recurrent_lm(vocab_size, cell)
    params = jax.eval_shape(model.init, jax.random.key(0))
    carry = jax.eval_shape(lambda p: model.initial_carry(p, (batch_size,)), params)
    tokens = jax.ShapeDtypeStruct((steps, batch_size), jnp.int32)
    layers = (carry,) if hasattr(carry, "c") else carry
    places = tuple((("h", 2 * k), ("c", 2 * k + 1)) for k in range(len(layers)))
    arguments = (params, carry, tokens, tokens)
    return lambda *arguments: flow_on_device(model.opened, places, steps - 1, *arguments), arguments


def test_no_array_has_two_axes_of_time_and_one_of_states():
    steps, size = 97, 31  # primes: nothing else has these lengths
    function, arguments = program(lstm(size, size), 7, steps)
    shapes = set(shapes_of(jax.make_jaxpr(function)(*arguments).jaxpr))
    assert any(steps in shape and size in shape for shape in shapes)  # the states are seen,
    slots = 128  # the rows in two chunks of 64,
    assert any(slots in shape and size in shape for shape in shapes)
    assert max(map(math.prod, shapes)) <= steps * slots  # and nothing larger than the norms


def test_a_thousand_steps_of_650_units_fit_in_a_gigabyte():
    function, arguments = program(lstm(650, 650), 10_000, 1000)
    memory = jax.jit(function).lower(*arguments).compile().memory_analysis()
    held = memory.temp_size_in_bytes + memory.output_size_in_bytes + memory.argument_size_in_bytes
    assert memory.argument_size_in_bytes < held < 2**30


def test_memory_grows_with_the_steps_and_not_with_their_square():
    """Apart from the result, which is [T, T]."""
    held = []
    for steps in (257, 513):
        function, arguments = program(lstm(100, 100), 7, steps)
        held.append(jax.jit(function).lower(*arguments).compile().memory_analysis().temp_size_in_bytes)
    state = 257 * 100 * 4
    assert state < held[1] - held[0] < 12 * state
