"""Whole language models of torch's example, against the log-probabilities that torch wrote; safetensors files."""

import builtins
import re

import jax
import ml_dtypes
import numpy as np
import pytest

from lm_jax.cells import gru, lstm, stacked
from lm_jax.errors import UserError
from lm_jax.interop.safetensors_files import load_safetensors, save_safetensors
from lm_jax.interop.torch_language_model import language_model_from_torch, language_model_to_torch
from lm_jax.models.recurrent import recurrent_lm
from lm_jax.models.window import window_lm
from tests.cases import assert_identical
from tests.catalogue import entry
from tests.interop.test_torch_weights import golden, state_of


CASES = {
    "rnn_tanh_2": {"cell": "rnn"},
    "rnn_relu_2": {"cell": "rnn", "nonlinearity": "relu"},
    "gru_2": {"cell": "gru"},
    "lstm_2": {},
    "gru_1_tied": {"cell": "gru"},
    "lstm_1_tied": {},
}


@pytest.mark.parametrize("name", CASES)
def test_log_probabilities_are_torchs(name):
    arrays = golden("torch_models.npz", f"model/{name}")
    model, params = language_model_from_torch(state_of(arrays), **CASES[name])
    assert (params.w_out is None) == name.endswith("tied")
    tokens = arrays["tokens"].astype(np.int32)
    carry = model.initial_carry(params, tokens.shape[1:])
    _, logits = jax.jit(model.unroll)(params, carry, tokens)
    np.testing.assert_allclose(jax.nn.log_softmax(logits), arrays["log_probs"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_torch_to_ours_and_back(name):
    """Everything but the biases of the layers is the same bits, and the names are in torch's order."""
    state = state_of(golden("torch_models.npz", f"model/{name}"))
    model, params = language_model_from_torch(state, **CASES[name])
    again = language_model_to_torch(model, params)
    assert list(again) == list(state)
    for key in state:
        if not key.startswith("rnn.bias"):
            np.testing.assert_array_equal(again[key], state[key])
    assert (again["decoder.weight"] is again["encoder.weight"]) == name.endswith("tied")
    assert_identical(language_model_from_torch(again, **CASES[name])[1], params)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("cell", [lstm(4, 4), stacked([lstm(4, 4), lstm(4, 4)])], ids=["cell", "stack"])
def test_ours_to_torch_and_back_to_the_last_bit(cell, tied):
    model = recurrent_lm(7, cell, tied=tied)
    params = entry(model).make_params(jax.random.key(1))
    again, read = language_model_from_torch(language_model_to_torch(model, params))
    assert again.opened.cell == cell and again.vocab_size == 7
    assert jax.tree.structure(read) == jax.tree.structure(params)
    assert_identical(read, params)


def test_dropout_is_that_of_training_only():
    arrays = golden("torch_models.npz", "model/lstm_2")
    model, params = language_model_from_torch(state_of(arrays), dropout_rate=0.5)
    tokens = arrays["tokens"].astype(np.int32)
    carry = model.initial_carry(params, tokens.shape[1:])
    _, logits = model.unroll(params, carry, tokens)
    np.testing.assert_allclose(jax.nn.log_softmax(logits), arrays["log_probs"], rtol=0, atol=1e-6)
    expected = recurrent_lm(7, stacked([lstm(3, 4), lstm(4, 4)], dropout_rate=0.5), dropout_rate=0.5)
    trained = [m.unroll(params, carry, tokens, key=jax.random.key(0)) for m in (model, expected)]
    assert_identical(*trained)
    assert np.any(trained[0][1] != logits)


@pytest.mark.parametrize("name", ["lstm_2", "gru_1_tied"])
def test_what_is_missing_extra_or_misshapen_is_refused_by_name(name):
    state = state_of(golden("torch_models.npz", f"model/{name}"))
    for key, tensor in state.items():
        without = {other: a for other, a in state.items() if other != key}
        changes = {
            "lack": without,
            "(?:shape|two axes|whole number)": without | {key: tensor[:0, ..., None]},
            "floating point numbers, got int8": without | {key: tensor.astype(np.int8)},
        }
        for message, changed in changes.items():
            with pytest.raises(UserError, match=message) as refused:
                language_model_from_torch(changed, **CASES[name])
            assert re.search(rf"\b{key}\b", str(refused.value)) and "\n" not in str(refused.value)
    with pytest.raises(UserError, match=r"an encoder, an rnn and a decoder, got pos_encoder\.pe"):
        language_model_from_torch(state | {"pos_encoder.pe": np.zeros(3)}, **CASES[name])
    with pytest.raises(UserError, match=r"have rnn\.weight_hr_l0, for which"):
        language_model_from_torch(state | {"rnn.weight_hr_l0": np.zeros((3, 4))}, **CASES[name])


def test_another_kind_of_cell_is_refused_by_the_first_tensor():
    state = state_of(golden("torch_models.npz", "model/lstm_2"))
    with pytest.raises(UserError, match=r"rnn\.weight_ih_l0 must have the shape \(12, 3\), got \(16, 3\)"):
        language_model_from_torch(state, "gru")
    with pytest.raises(UserError, match="cell must be one of rnn, gru, lstm, got 'LSTM'"):
        language_model_from_torch(state, "LSTM")


def test_models_that_torchs_example_has_not_are_refused():
    window = window_lm(7, window=2, embedding_size=3, hidden_size=4)
    with pytest.raises(UserError, match="is a recurrent one with one full softmax, got parameters WindowLMParams"):
        language_model_to_torch(window, entry(window).make_params(jax.random.key(0)))
    models = recurrent_lm(7, gru(3, 4)), recurrent_lm(7, gru(3, 4, reset="before"))
    first, before = (entry(model).make_params(jax.random.key(0)) for model in models)
    with pytest.raises(UserError, match='reset="before"'):
        language_model_to_torch(models[1], before)
    with pytest.raises(UserError, match="the parameters must be those of the model"):
        language_model_to_torch(models[1], first)


@pytest.fixture
def state():
    """Of a tied model."""
    return state_of(golden("torch_models.npz", "model/lstm_1_tied"))


def test_files_hold_every_bit(tmp_path, state):
    pytest.importorskip("safetensors")
    path = tmp_path / "lm.safetensors"
    weight = state["encoder.weight"]
    tensors = {**state, "transposed": weight.T, "half": weight.astype(ml_dtypes.bfloat16)}
    save_safetensors(tensors, path)
    read = load_safetensors(str(path))
    assert read.keys() == tensors.keys() and [file.name for file in tmp_path.iterdir()] == [path.name]
    assert_identical(read, tensors)
    assert read["half"].dtype == ml_dtypes.bfloat16


def test_shared_tensors_of_torchs_save_model_are_there_under_both_names(tmp_path, state):
    library = pytest.importorskip("safetensors.numpy")
    metadata = {"format": "pt", "encoder.weight": "decoder.weight", "rnn.bias_hh_l0": "rnn.bias_ih_l0"}
    one = {name: tensor for name, tensor in state.items() if name != "encoder.weight"}
    library.save_file(one, tmp_path / "tied", metadata=metadata)
    read = load_safetensors(tmp_path / "tied")
    assert_identical(dict(sorted(read.items())), dict(sorted(state.items())))
    assert language_model_from_torch(read)[1].w_out is None


def test_files_that_are_not_there_or_no_safetensors(tmp_path, state):
    pytest.importorskip("safetensors")
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04 a pickle of torch")
    for name in ("none", "model.pt", "."):
        with pytest.raises(UserError, match="must be a safetensors file, got") as refused:
            load_safetensors(tmp_path / name)
        assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match="must be writable, got"):
        save_safetensors(state, tmp_path / "none" / "lm")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="must be writable, got"):
        save_safetensors(state, tmp_path / "folder")
    assert not (tmp_path / "folder.part").exists()


def test_a_missing_extra_is_named(monkeypatch):
    really = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "safetensors":
            raise ImportError(name)
        return really(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r'^safetensors files need the extra "torch": pip install "lm-jax\[torch\]"$'):
        save_safetensors({}, "lm.safetensors")
