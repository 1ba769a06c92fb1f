"""The cuDNN engine without its kernel: JAX's own reference of the same call stands in for it."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn as jax_rnn

from lm_jax import UserError
from lm_jax.cells import lstm
from lm_jax.cells.lstm import cudnn
from lm_jax.cells.lstm.cudnn import flat_weights
from tests.cases import draw_like, weighted_sum


E, H, T, B = 3, 5, 4, 2


def reference(x, h_0, c_0, weights, seq_lengths, input_size, hidden_size, num_layers, dropout, bidirectional):
    """`jax.experimental.rnn.lstm` as its documentation has it: the flat weights taken apart, then plain loops."""
    sizes = input_size, hidden_size, num_layers
    unpacked = jax_rnn.unpack_lstm_weights(weights, *sizes, bidirectional)
    return jax_rnn.lstm_ref(x, h_0, c_0, *unpacked, seq_lengths, *sizes, dropout, bidirectional)


@pytest.fixture
def engines(monkeypatch):
    """(scan, cudnn) of one LSTM: no kernel is called, and no device is asked for."""
    monkeypatch.setattr(cudnn, "check_device", lambda: None)
    monkeypatch.setattr(jax_rnn, "lstm", reference)
    yield [lstm.__wrapped__(E, H, recurrence=recurrence) for recurrence in ("scan", "cudnn")]


def arguments(cell, batch_shape=(B,)):
    """(params, carry, xs), none of them zeros."""
    params = jax.tree.map(jnp.add, cell.init(jax.random.key(0)), draw_like(cell.init(jax.random.key(0)), 1))
    carry = draw_like(cell.initial_carry(params, batch_shape), 2)
    return params, carry, draw_like(jnp.zeros((T, *batch_shape, E)), 3)


def test_the_flat_weights_are_those_that_cudnn_takes_apart():
    params = draw_like(lstm(E, H).init(jax.random.key(0)), 1)
    flat = flat_weights(params)
    assert flat.shape == (jax_rnn.get_num_params_in_lstm(E, H, 1, False),)
    w_ih, w_hh, b_ih, b_hh = (part[0] for part in jax_rnn.unpack_lstm_weights(flat, E, H, 1, False))
    np.testing.assert_array_equal(w_ih, params.w_x.T)
    np.testing.assert_array_equal(w_hh, params.w_h.T)
    np.testing.assert_array_equal(b_ih, params.b)
    assert not b_hh.any()


@pytest.mark.parametrize("batch_shape", [(B,), (), (2, 3)], ids=str)
def test_equals_scan_in_outputs_carry_and_gradients(engines, batch_shape):
    found = []
    for cell in engines:

        def loss(*given, cell=cell):
            returned = cell.unroll(*given)
            return weighted_sum(returned), returned

        found.append(jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(*arguments(cell, batch_shape)))
    assert jax.tree.structure(found[0]) == jax.tree.structure(found[1])
    for a, b in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_numpy_carries_are_taken(engines):
    _, cudnn = engines
    params, carry, xs = arguments(cudnn)
    given = jax.tree.map(np.asarray, carry)
    jax.tree.map(np.testing.assert_array_equal, cudnn.unroll(params, given, xs), cudnn.unroll(params, carry, xs))


@pytest.mark.parametrize("switch", ["mask", "reset"])
def test_masks_and_resets_run_on_the_scan(engines, switch, monkeypatch):
    scan, cudnn = engines
    given, flags = arguments(scan), {switch: jnp.arange(T)[:, None] % 2 == jnp.arange(B)}
    expected = scan.unroll(*given, **flags)
    monkeypatch.setattr(jax_rnn, "lstm", None)
    jax.tree.map(np.testing.assert_array_equal, cudnn.unroll(*given, **flags), expected)


def test_without_an_nvidia_gpu_it_is_refused():
    with pytest.raises(UserError, match='recurrence "cudnn" needs an NVIDIA GPU, got cpu'):
        lstm(E, H, recurrence="cudnn")


def test_a_gpu_of_another_make_is_refused(monkeypatch):
    client = types.SimpleNamespace(platform_version="PJRT C API\nrocm 60300")
    device = types.SimpleNamespace(platform="gpu", device_kind="AMD Instinct MI300X", client=client)
    monkeypatch.setattr(jax, "devices", lambda: [device])
    with pytest.raises(UserError, match="got AMD Instinct MI300X"):
        lstm(E, H, recurrence="cudnn")
    client.platform_version = "PJRT C API\ncuda 12080"
    lstm.__wrapped__(E, H, recurrence="cudnn")


def test_another_type_is_refused(monkeypatch):
    monkeypatch.setattr(cudnn, "check_device", lambda: None)
    with pytest.raises(UserError, match='"cudnn" computes in float32, got compute_dtype bfloat16'):
        lstm(E, H, recurrence="cudnn", compute_dtype="bfloat16")
