"""The recurrent language model against its equations, its settings and its promises about memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError, initializers
from lm_jax.cells import RNNParams, drop_connect, gru, lstm, rnn, stacked
from lm_jax.models import from_config, recurrent_lm
from lm_jax.models.recurrent import RecurrentLMParams
from tests.cases import assert_close, assert_identical, draw_like
from tests.runs.toy import model_config


V, T, B = 7, 5, 3
TOKENS = np.random.default_rng(0).integers(V, size=(T, B), dtype=np.int32)
TARGETS = np.random.default_rng(1).integers(V, size=(T, B), dtype=np.int32)


def drawn(model):
    """Parameters from a normal distribution."""
    return draw_like(jax.eval_shape(model.init, jax.random.key(0)), seed=2)


@pytest.mark.parametrize("tied", [False, True])
def test_logits_are_a_product_of_the_outputs_of_the_cell(tied):
    cell = gru(4, 4)
    model = recurrent_lm(V, cell, tied=tied)
    params = drawn(model)
    carry, logits = model.unroll(params, model.initial_carry(params, (B,)), TOKENS)
    expected, ys = cell.unroll(params.cell, cell.initial_carry(params.cell, (B,)), params.embedding[TOKENS])
    weights = params.embedding.T if tied else params.w_out
    assert_close((carry, logits), (expected, ys @ weights + params.b_out), 1e-5)
    assert (params.w_out is None) == tied


def test_initial_weights():
    params = recurrent_lm(50, lstm(40, 40), init_bound=0.05).init(jax.random.key(0))
    for weights in (params.embedding, params.w_out):
        assert 0.049 < np.abs(weights).max() < 0.05
    assert not params.b_out.any()
    assert_identical(params.cell.b, np.repeat([0.0, 1.0, 0.0, 0.0], 40).astype(np.float32))


@pytest.mark.parametrize("limit", [1, V * 4, 3 * V * 4, 8 * V * 4, T * B * V * 4 - 1])
def test_pieces_of_any_size_give_the_same_score_and_gradient(limit):
    """One row a piece, three rows, eight (the last piece padded), and one byte short of all."""

    def score_and_gradient(model):
        params = drawn(model)
        carry = model.initial_carry(params, (B,))
        return jax.jit(jax.value_and_grad(lambda p: -model.score(p, carry, TOKENS, TARGETS)[1].sum()))(params)

    whole, pieces = (recurrent_lm(V, lstm(3, 4), **options) for options in ({}, {"logits_limit": limit}))
    assert_close(score_and_gradient(pieces), score_and_gradient(whole), 1e-5)


def masks(rate_of, kind):
    """What is left of embeddings and outputs of 1 after dropout: [T, B, H] of a model that shows it as its logits."""
    size = 6
    cell = rnn(size, size, nonlinearity="identity")
    model = recurrent_lm(size, cell, dropout_kind=kind, **{rate_of: 0.5})
    cell_params = RNNParams(jnp.eye(size), jnp.zeros((size, size)), jnp.zeros(size))
    params = RecurrentLMParams(jnp.ones((size, size)), cell_params, jnp.eye(size), jnp.zeros(size))
    tokens = np.random.default_rng(0).integers(size, size=(20, B), dtype=np.int32)
    return tokens, np.asarray(model.unroll(params, jnp.zeros((B, size)), tokens, key=jax.random.key(0))[1])


@pytest.mark.parametrize("rate_of", ["input_dropout", "output_dropout"])
def test_dropout_of_inputs_and_outputs_is_elementwise_or_locked(rate_of):
    for kind, locked in (("elementwise", False), ("locked", True)):
        _, left = masks(rate_of, kind)
        assert set(np.unique(left)) == {0.0, 2.0}
        assert np.all(left == left[:1]) == locked


def test_dropout_rate_is_that_of_inputs_and_of_outputs():
    _, left = masks("dropout_rate", "locked")
    assert set(np.unique(left)) == {0.0, 4.0}


def test_embedding_dropout_takes_a_type_wherever_it_stands():
    tokens, left = masks("embedding_dropout", "elementwise")
    assert set(np.unique(left)) == {0.0, 2.0}
    for token in range(6):
        assert len(np.unique(left[tokens == token])) == 1


CONFIGURED = {
    "default": ({}, lambda: lstm(3, 4)),
    "forget_bias": ({"forget_bias": 2.0}, lambda: lstm(3, 4, forget_bias=2.0)),
    "gru": ({"cell": "gru", "gru_reset": "before"}, lambda: gru(3, 4, reset="before")),
    "rnn": (
        {"cell": "rnn", "nonlinearity": "relu", "init": "identity", "init_scale": 0.5},
        lambda: rnn(3, 4, nonlinearity="relu", w_h_init=initializers.identity(0.5)),
    ),
    "uniform": (
        {"cell": "gru", "init": "uniform"},
        lambda: gru(3, 4, **dict.fromkeys(("w_x_init", "w_h_init", "b_init"), initializers.uniform(0.5))),
    ),
    "dense": ({"layers": 2, "connection": "dense"}, lambda: stacked([lstm(3, 4), lstm(7, 4)], "dense")),
    "top_size": ({"layers": 2, "top_size": 3}, lambda: stacked([lstm(3, 4), lstm(4, 3)])),
    "weight_drop": ({"weight_drop": 0.5}, lambda: drop_connect(lstm(3, 4), 0.5)),
    "bfloat16": ({"compute_dtype": "bfloat16"}, lambda: lstm(3, 4, compute_dtype="bfloat16")),
    "recurrence": ({"recurrence": "fused"}, lambda: lstm(3, 4, recurrence="fused")),
    "layer_dropout": (
        {"layers": 2, "dropout_layer": 0.5, "dropout_kind": "locked"},
        lambda: stacked([lstm(3, 4), lstm(4, 4)], dropout_rate=0.5, dropout_kind="locked"),
    ),
}


@pytest.mark.parametrize(("settings", "make_cell"), CONFIGURED.values(), ids=CONFIGURED)
def test_a_configuration_builds_the_cell_it_describes(settings, make_cell):
    config = model_config(hidden_size=4, embedding_size=3, **settings)
    model = from_config(config, V)
    by_hand = recurrent_lm(V, make_cell(), compute_dtype=settings.get("compute_dtype"))
    params = model.init(jax.random.key(0))
    assert_identical(params, by_hand.init(jax.random.key(0)))
    carry, key = model.initial_carry(params, (B,)), jax.random.key(1)
    assert_identical(*(jax.jit(m.unroll)(params, carry, TOKENS, key=key) for m in (model, by_hand)))


@pytest.mark.parametrize(
    "settings",
    [
        {"tied": True, "embedding_size": 4, "dropout": 0.5, "dropout_kind": "locked"},
        {"dropout_input": 0.1, "dropout_output": 0.2, "dropout_embedding": 0.3},
    ],
)
def test_a_configuration_builds_the_model_it_describes(settings):
    config = model_config(**{"hidden_size": 4, "embedding_size": 3, **settings})
    names = {name: name.removeprefix("dropout_") + "_dropout" for name in settings if name != "dropout_kind"}
    options = {names[n] if n.startswith("dropout_") and n in names else n: v for n, v in settings.items()}
    options["dropout_rate"] = options.pop("dropout", 0.0)
    options.pop("embedding_size", None)
    by_hand = recurrent_lm(V, lstm(config.embedding_size, 4), **options)
    params = drawn(by_hand)
    carry, key = by_hand.initial_carry(params, (B,)), jax.random.key(1)
    results = (jax.jit(m.unroll)(params, carry, TOKENS, key=key) for m in (from_config(config, V), by_hand))
    assert_identical(*results)


def test_equal_settings_make_the_same_model():
    assert recurrent_lm(V, lstm(3, 4), tied=False) is recurrent_lm(V, lstm(3, 4), tied=False)
    assert from_config(model_config(layers=2, dropout=0.1), V) is from_config(model_config(layers=2, dropout=0.1), V)


MISTAKES = {
    "vocabulary_of_none": (lambda: recurrent_lm(0, lstm(3, 4)), "vocab_size must .* at least 1, got 0"),
    "vocabulary_of_one": (lambda: recurrent_lm(1, lstm(3, 4)), "vocabulary of at least 2 entries, got 1"),
    "tied": (lambda: recurrent_lm(V, lstm(3, 4), tied=True), "embedding_size equal to hidden_size, got 3 and 4"),
    "rate": (lambda: recurrent_lm(V, lstm(3, 4), dropout_rate=1.5), r"dropout_rate must be in \[0, 1\), got 1.5"),
    "input": (lambda: recurrent_lm(V, lstm(3, 4), input_dropout=-1), r"input_dropout .* \[0, 1\), got -1"),
    "output": (lambda: recurrent_lm(V, lstm(3, 4), output_dropout=1), r"output_dropout .* \[0, 1\), got 1"),
    "embedding": (lambda: recurrent_lm(V, lstm(3, 4), embedding_dropout=2), r"embedding_dropout .* \[0, 1\), got 2"),
    "config_cell": (
        lambda: from_config(model_config(cell="elman"), V),
        "cell must be one of rnn, gru, lstm, .*got 'elman'",
    ),
    "config_init": (lambda: from_config(model_config(init="ones"), V), "init must be one of .*, got 'ones'"),
    "config_layers": (lambda: from_config(model_config(layers=0), V), "layers must .* at least 1, got 0"),
    "config_connection": (
        lambda: from_config(model_config(layers=2, connection="skip"), V),
        "one of plain, .* got 'skip'",
    ),
    "config_kind": (
        lambda: from_config(model_config(dropout=0.5, dropout_kind="bound"), V),
        "dropout_kind must be one of elementwise, locked, got 'bound'",
    ),
    "model_kind": (
        lambda: recurrent_lm(V, lstm(3, 4), dropout_kind="bound"),
        "dropout_kind must be one of elementwise, locked, got 'bound'",
    ),
}


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()
