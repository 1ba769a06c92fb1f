"""Whole language models as linen parameters: a linen model computes what ours does; what does not fit is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from lm_jax.cells import gru, lstm, rnn, stacked
from lm_jax.errors import UserError
from lm_jax.interop.linen_language_model import language_model_from_linen, language_model_to_linen
from lm_jax.models.recurrent import recurrent_lm
from lm_jax.models.window import window_lm
from tests.cases import assert_close, assert_identical
from tests.catalogue import entry


V = 7
MODELS = {
    "lstm": (recurrent_lm(V, lstm(3, 4)), [nn.OptimizedLSTMCell(4)]),
    "two gru": (recurrent_lm(V, stacked([gru(3, 4), gru(4, 5)])), [nn.GRUCell(4), nn.GRUCell(5)]),
    "rnn tied": (recurrent_lm(V, rnn(4, 4), tied=True), [nn.SimpleCell(4)]),
}


def nested(tensors):
    """Names with points as linen's dicts."""
    tree = {}
    for name, tensor in tensors.items():
        *path, leaf = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = tensor
    return tree


@pytest.mark.parametrize("name", MODELS)
def test_linen_modules_compute_the_same_logits(name):
    model, cells = MODELS[name]
    params = entry(model).make_params(jax.random.key(0))
    tensors = language_model_to_linen(params)
    tree = nested(tensors)
    tokens = np.random.default_rng(0).integers(V, size=(6, 2)).astype(np.int32)
    ys = nn.Embed(V, tree["embed"]["embedding"].shape[1]).apply({"params": tree["embed"]}, tokens)
    for number, cell in enumerate(cells):
        ys = nn.RNN(cell, time_major=True).apply({"params": {"cell": tree[f"rnn_{number}"]}}, ys)
    kernel = tree["dense"].get("kernel", tree["embed"]["embedding"].T)
    logits = nn.Dense(V).apply({"params": {"kernel": kernel, "bias": tree["dense"]["bias"]}}, ys)
    expected = model.unroll(params, model.initial_carry(params, (2,)), tokens)[1]
    assert_close(logits, expected, 1e-5)
    again, read = language_model_from_linen(tensors)
    assert_identical(read, params)
    assert jax.tree.structure(read) == jax.tree.structure(params) and again.vocab_size == V


@pytest.fixture
def tensors():
    model = MODELS["lstm"][0]
    return language_model_to_linen(entry(model).make_params(jax.random.key(0)))


def test_what_is_missing_extra_or_misshapen_is_refused_by_name(tensors):
    for name in tensors:
        if name == "dense.kernel":
            continue  # without it a model is tied
        with pytest.raises(UserError) as caught:
            language_model_from_linen({other: tensor for other, tensor in tensors.items() if other != name})
        assert "\n" not in str(caught.value)
        assert any(part in str(caught.value) for part in (name, name.removeprefix("rnn_0.").replace(".", "/"), "rnn_0"))
    with pytest.raises(UserError, match=r"embed, rnn_0, rnn_1, \.\.\. and dense, got other"):
        language_model_from_linen({**tensors, "other": np.zeros(3)})
    with pytest.raises(UserError, match=r"dense\.bias must have the shape \(7,\), got \(8,\)"):
        language_model_from_linen({**tensors, "dense.bias": jnp.zeros(8)})
    with pytest.raises(UserError, match=r"the layers rnn_0, rnn_1, \.\.\., got \[0, 2\]"):
        language_model_from_linen({**tensors, "rnn_2.ii.kernel": np.zeros((3, 4))})


def test_models_that_are_no_stack_of_linens_cells_are_refused():
    window = window_lm(V, window=2, embedding_size=3, hidden_size=4)
    with pytest.raises(UserError, match="a recurrent model with one full softmax is converted"):
        language_model_to_linen(entry(window).make_params(jax.random.key(0)))
    highway = recurrent_lm(V, stacked([rnn(3, 4), rnn(4, 4)], "highway"))
    with pytest.raises(UserError, match="linen stacks layers without highway connections"):
        language_model_to_linen(entry(highway).make_params(jax.random.key(0)))
