"""Weights of torch's recurrent layers, read and written, against outputs that torch wrote."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from lm_jax.cells import LSTMCarry, gru, lstm, rnn, stacked
from lm_jax.encoders import bidirectional, stacked_encoder, unidirectional
from lm_jax.errors import UserError
from lm_jax.interop.torch_weights import params_from_torch, params_to_torch
from tests.cases import assert_identical
from tests.catalogue import entry, running_mean


GOLDEN = Path(__file__).parents[1] / "golden"
FACTORIES = {"rnn_tanh": rnn, "rnn_relu": lambda *sizes: rnn(*sizes, nonlinearity="relu"), "gru": gru, "lstm": lstm}
CASES = [(kind, layers) for kind in FACTORIES for layers in (1, 2)]
E, H = 3, 4


def golden(file, case):
    """The arrays of one case, by name."""
    with np.load(GOLDEN / file) as arrays:
        return {name.removeprefix(f"{case}/"): arrays[name] for name in arrays if name.startswith(f"{case}/")}


def state_of(arrays):
    """The state dict among the arrays of a case of torch_models.npz."""
    return {name.removeprefix("state/"): a for name, a in arrays.items() if name.startswith("state/")}


def one_way(kind, layers):
    """A cell, or a stack of them."""
    cells = [FACTORIES[kind](H if k else E, H) for k in range(layers)]
    return stacked(cells) if layers > 1 else cells[0]


def both_ways(kind, layers):
    """An encoder of as many layers."""
    make = FACTORIES[kind]
    encoders = [bidirectional(*[make(2 * H if k else E, H)] * 2) for k in range(layers)]
    return stacked_encoder(encoders) if layers > 1 else encoders[0]


SUBJECTS = {f"{kind}_{layers}": one_way(kind, layers) for kind, layers in CASES}
SUBJECTS |= {f"{kind}_{layers}_both": both_ways(kind, layers) for kind, layers in CASES}
SUBJECTS["stack_in_stack"] = stacked_encoder(
    [unidirectional(stacked([gru(E, H), gru(H, H)])), unidirectional(gru(H, H))]
)


def drawn_params(subject, seed=0):
    """Parameters whose biases are not 0."""
    return entry(subject).make_params(jax.random.key(seed))


def drawn_state(subject):
    """A state dict in torch's types and shapes, both of its biases drawn."""
    generator = np.random.default_rng(4)
    shapes = params_to_torch(drawn_params(subject))
    return {name: generator.normal(size=a.shape).astype(np.float32) for name, a in shapes.items()}


@pytest.mark.parametrize(("kind", "layers"), CASES)
def test_cells_and_stacks_give_torchs_outputs(kind, layers):
    arrays = golden("torch_recurrences.npz", f"{kind}_{layers}")
    cell = one_way(kind, layers)
    params = params_from_torch(cell, {name: a for name, a in arrays.items() if re.match(r"(weight|bias)_", name)})
    starts = zip(arrays["h0"], arrays["c0"], strict=True) if kind == "lstm" else arrays["h0"]
    carry = tuple(LSTMCarry(*start) if kind == "lstm" else start for start in starts)
    carry = jax.tree.map(jnp.float32, carry if layers > 1 else carry[0])
    last, ys = jax.jit(cell.unroll)(params, carry, jnp.float32(arrays["x"]))
    np.testing.assert_allclose(ys, arrays["y"], rtol=0, atol=1e-6)
    top = last[-1] if layers > 1 else last
    for name, ours in zip("hc", top if kind == "lstm" else (top,), strict=False):
        np.testing.assert_allclose(ours, arrays[name][-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("kind", "layers"), CASES)
def test_bidirectional_encoders_give_torchs_outputs(kind, layers):
    """Rows of full length, and rows that torch packed."""
    arrays = golden("torch_models.npz", f"bidirectional/{kind}_{layers}")
    encoder = both_ways(kind, layers)
    params = params_from_torch(encoder, state_of(arrays))
    encode = jax.jit(encoder.encode)
    np.testing.assert_allclose(encode(params, arrays["x"]), arrays["y"], rtol=0, atol=1e-6)
    mask = np.arange(len(arrays["x"]))[:, None] < arrays["lengths"]
    np.testing.assert_allclose(encode(params, arrays["x"], mask=mask), arrays["y_packed"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SUBJECTS)
def test_ours_to_torch_and_back_to_the_last_bit(name):
    subject = SUBJECTS[name]
    params = drawn_params(subject)
    params = jax.tree.map(lambda a: a.at[..., 0].set(-0.0).at[..., 1].set(1e-40), params)
    state = params_to_torch(params, "rnn.")
    again = params_from_torch(subject, state, "rnn.")
    assert jax.tree.structure(again) == jax.tree.structure(params)
    bits = [[np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)] for tree in (again, params)]
    assert bits[0] == bits[1]
    assert all(a.flags.c_contiguous and a.flags.writeable and a.dtype == np.float32 for a in state.values())


@pytest.mark.parametrize("name", SUBJECTS)
def test_torch_to_ours_and_back_is_the_same_module(name):
    """The weights are the same bits, and so are the sums of the biases; of a GRU's n, where they count apart, each."""
    subject = SUBJECTS[name]
    state = drawn_state(subject)
    params = params_from_torch(subject, state)
    again = params_to_torch(params)
    assert list(again) == list(state)
    for key in state:
        if key.startswith("weight"):
            np.testing.assert_array_equal(again[key], state[key])
        elif key.startswith("bias_ih"):
            other = key.replace("ih", "hh")
            np.testing.assert_array_equal(again[key] + again[other], state[key] + state[other])
            if len(state[key]) == 3 * H:
                np.testing.assert_array_equal(again[key][2 * H :], state[key][2 * H :])
                np.testing.assert_array_equal(again[other][2 * H :], state[other][2 * H :])
    assert_identical(params_from_torch(subject, again), params)


def test_names_are_those_of_torch():
    """A state dict in torch's own order, of the golden file."""
    for kind in FACTORIES:
        state = state_of(golden("torch_models.npz", f"bidirectional/{kind}_2"))
        ours = params_to_torch(drawn_params(SUBJECTS[f"{kind}_2_both"]))
        assert [(name, a.shape) for name, a in ours.items()] == [(name, a.shape) for name, a in state.items()]


def test_unidirectional_encoders_have_the_parameters_of_their_cells():
    state = drawn_state(lstm(E, H))
    assert_identical(params_from_torch(unidirectional(lstm(E, H)), state), params_from_torch(lstm(E, H), state))


def test_types_and_copies():
    """Half precision is exact in float32, float64 stays where JAX has it, and nothing of the given arrays is kept."""
    cell = gru(E, H)
    state = drawn_state(cell)
    for half in (np.float16, ml_dtypes.bfloat16):
        rounded = {name: a.astype(half) for name, a in state.items()}
        widened = {name: a.astype(np.float32) for name, a in rounded.items()}
        params = params_from_torch(cell, rounded)
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
        assert_identical(params, params_from_torch(cell, widened))
    params = params_from_torch(cell, state)
    kept = jax.tree.map(np.array, params)
    for array in state.values():
        array += 1.0
    assert_identical(params, kept)


def test_float64_stays(x64):
    cell = lstm(E, H)
    state = {name: a + np.float64(1e-12) for name, a in drawn_state(cell).items()}
    params = params_from_torch(cell, state)
    assert params.w_x.dtype == jnp.float64
    np.testing.assert_array_equal(params_to_torch(params)["weight_ih_l0"], state["weight_ih_l0"])


@pytest.mark.parametrize("name", ["rnn_tanh_1", "gru_2", "lstm_2_both"])
def test_what_is_missing_extra_or_misshapen_is_refused_by_name(name):
    subject = SUBJECTS[name]
    state = {f"rnn.{key}": a for key, a in drawn_state(subject).items()} | {"decoder.bias": np.zeros(9)}
    params_from_torch(subject, state, "rnn.")  # what is not under the prefix does not matter
    for key in state.keys() - {"decoder.bias"}:
        without = {other: a for other, a in state.items() if other != key}
        changes = {
            f"lack {key}, of shape": without,
            f"{key} must have the shape .*, got": without | {key: state[key][:-1]},
            f"{key} must hold floating point numbers, got int8": without | {key: state[key].astype(np.int8)},
            f"have {key}_, for which this cell has no place": state | {f"{key}_": state[key]},
        }
        for message, changed in changes.items():
            with pytest.raises(UserError, match=message) as refused:
                params_from_torch(subject, changed, "rnn.")
            assert "\n" not in str(refused.value)


REFUSED = {
    'reset="before"': (gru(E, H, reset="before"), 'got parameters of a GRU with reset="before"'),
    "own_cell": (running_mean(E, H), "rnn, gru and lstm only, got parameters dict"),
    "highway": (stacked([gru(H, H)] * 2, "highway"), "without highway connections"),
    "dense": (
        stacked([gru(E, H), gru(E + H, H)], "dense"),
        "layer 1 of torch's must be GRU of one direction from 4 to 4 like the first, got GRU .* from 7 to 4",
    ),
    "mixed": (stacked([gru(E, H), lstm(H, H)]), "layer 1 .* must be GRU .*, got LSTM of one direction from 4 to 4"),
    "sizes": (stacked([gru(E, H), gru(H, 5)]), "must be GRU of one direction from 4 to 4 .*, got .* from 4 to 5"),
    "sides": (bidirectional(gru(E, H), gru(E, 5)), "layer 0 .* both directions from 3 to 4 .*, got .* from 3 to 5"),
    "one_way_on_top": (
        stacked_encoder([bidirectional(gru(E, H), gru(E, H)), unidirectional(gru(2 * H, H))]),
        "must be GRU of both directions from 8 to 4 like the first, got GRU of one direction from 8 to 4",
    ),
    "stack_inside": (
        bidirectional(stacked([gru(E, H), gru(H, H)]), gru(E, H)),
        "one cell in each direction .*, got 3 cells or layers",
    ),
    "encoder_inside": (
        stacked_encoder([unidirectional(running_mean(E, H)), unidirectional(gru(H, H))]),
        "rnn, gru and lstm only, got parameters dict",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_layers_that_torch_has_not_are_refused(name):
    subject, message = REFUSED[name]
    with pytest.raises(UserError, match=message) as refused:
        params_to_torch(drawn_params(subject))
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match=message):
        params_from_torch(subject, {})
