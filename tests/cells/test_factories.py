"""What factories promise: one object per setting, initial weights as stated, and mistakes named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError, initializers
from lm_jax.cells import drop_connect, gru, input_sizes, lstm, rnn, stacked


H = 16
CELLS = {"rnn": rnn, "gru": gru, "lstm": lstm}
MADE = {
    "rnn": lambda: rnn(3, 4, nonlinearity="relu", w_h_init=initializers.identity(0.5)),
    "gru": lambda: gru(3, 4, reset="before", w_x_init=initializers.uniform(0.1)),
    "lstm": lambda: lstm(3, 4),
    "lstm_with_settings": lambda: lstm(3, 4, forget_bias=2.0, w_h_init=initializers.orthogonal(0.9)),
    "drop_connect": lambda: drop_connect(lstm(3, 4), 0.5),
    "stack": lambda: stacked([lstm(3, 4), gru(4, 4)], "residual", dropout_rate=0.1),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_equal_settings_make_the_same_object(make):
    """So that what is compiled for one is found again for the other."""
    assert make() is make()


@pytest.mark.parametrize("name", CELLS)
def test_recurrent_weights_begin_orthogonal_gate_by_gate(name):
    params = CELLS[name](3, H, w_h_init=initializers.orthogonal(0.9)).init(jax.random.key(0))
    blocks = np.split(np.asarray(params.w_h), params.w_h.shape[1] // H, axis=1)
    for block in blocks:
        np.testing.assert_allclose(block.T @ block, 0.81 * np.eye(H), atol=1e-5)
    assert len({block.tobytes() for block in blocks}) == len(blocks)


@pytest.mark.parametrize("name", CELLS)
def test_input_weights_begin_with_the_variance_of_one_gate(name):
    """lecun_normal: variance 1/E for every gate; of 64 x 64 draws its standard error is 1/45 of it: 1/6 suffices."""
    w_x = np.asarray(CELLS[name](64, 64).init(jax.random.key(0)).w_x)
    for block in np.split(w_x, w_x.shape[1] // 64, axis=1):
        np.testing.assert_allclose(block.var() * 64, 1.0, rtol=1 / 6)


@pytest.mark.parametrize("name", CELLS)
def test_every_initialiser_reaches_its_weights(name):
    small, large = initializers.uniform(0.01), initializers.uniform(10.0)
    params = CELLS[name](3, H, w_x_init=small, w_h_init=large, b_init=small).init(jax.random.key(0))
    bias = params.b.at[H : 2 * H].add(-1.0) if name == "lstm" else params.b
    assert np.abs(params.w_x).max() < 0.01 and 0 < np.abs(bias).max() < 0.0101 and 9 < np.abs(params.w_h).max() < 10


def test_the_forget_bias_is_in_the_initial_bias_and_nowhere_else():
    cell = lstm(3, 4, forget_bias=2.0)
    params = cell.init(jax.random.key(0))
    np.testing.assert_array_equal(params.b, np.repeat([0.0, 2.0, 0.0, 0.0], 4))
    assert np.all(lstm(3, 4).init(jax.random.key(0)).b == np.repeat([0.0, 1.0, 0.0, 0.0], 4))
    args = params, cell.initial_carry(params, ()), jnp.ones((3,))
    np.testing.assert_array_equal(cell.step(*args)[1], lstm(3, 4).step(*args)[1])


def test_identity_initialisation():
    cell = rnn(3, 4, w_h_init=initializers.identity(0.5))
    np.testing.assert_array_equal(cell.init(jax.random.key(0)).w_h, 0.5 * np.eye(4))


def test_input_sizes_of_layers():
    assert input_sizes("plain", 3, [4, 5, 6]) == [3, 4, 5]
    assert input_sizes("dense", 3, [4, 5, 6]) == [3, 7, 12]


# what is asked for, and what the message must say: the rule and the value
MISTAKES = {
    "size_zero": (lambda: rnn(0, 4), "input_size must be a whole number of at least 1, got 0"),
    "size_negative": (lambda: gru(3, -1), "hidden_size must be a whole number of at least 1, got -1"),
    "size_fraction": (lambda: lstm(3, 4.5), "hidden_size must be a whole number of at least 1, got 4.5"),
    "size_truth": (lambda: lstm(True, 5), "input_size must be a whole number of at least 1, got True"),
    "nonlinearity": (lambda: rnn(3, 4, nonlinearity="swish"), "one of tanh, relu, sigmoid, identity, got 'swish'"),
    "gru_form": (lambda: gru(3, 4, reset="never"), "reset must be one of after, before, got 'never'"),
    "no_cells": (lambda: stacked([]), "a stack needs at least one cell, got none"),
    "connection": (lambda: stacked([rnn(3, 4)], "skip"), "one of plain, residual, highway, dense, got 'skip'"),
    "rate": (lambda: stacked([rnn(3, 4)], dropout_rate=1.0), r"dropout_rate must be in \[0, 1\), got 1.0"),
    "rate_nan": (lambda: stacked([rnn(3, 4)], dropout_rate=float("nan")), r"must be in \[0, 1\), got nan"),
    "kind": (lambda: stacked([rnn(3, 4)], dropout_kind="bound"), "one of elementwise, locked, got 'bound'"),
    "plain": (lambda: stacked([rnn(3, 4), rnn(5, 4)]), "layer 1 .* plain .* input_size 4, got 5"),
    "dense": (lambda: stacked([rnn(3, 4), rnn(4, 4)], "dense"), "layer 1 .* dense .* input_size 7, got 4"),
    "residual": (lambda: stacked([rnn(3, 4), rnn(4, 5)], "residual"), "layer 1 .* residual .* output_size 4 .* got 5"),
    "highway": (lambda: stacked([rnn(4, 4), rnn(4, 6)], "highway"), "layer 1 .* highway .* output_size 4 .* got 6"),
    "weight_drop": (lambda: drop_connect(rnn(3, 4), -0.1), r"weight_drop must be in \[0, 1\), got -0.1"),
    "identity": (lambda: lstm(3, 4, w_x_init=initializers.identity()).init(jax.random.key(0)), r"square .* \(3, 4\)"),
}


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message) as caught:
        mistake()
    assert "\n" not in str(caught.value)


def test_drop_connect_needs_recurrent_weights():
    cell = drop_connect(stacked([rnn(3, 4)]), 0.5)
    params = cell.init(jax.random.key(0))
    with pytest.raises(UserError, match="a field w_h, got StackParams"):
        cell.unroll(params, cell.initial_carry(params, (2,)), jnp.ones((5, 2, 3)), key=jax.random.key(0))
