"""The fixed-window language model against its equations, its settings, and what the lecture says of it."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lm_jax
from lm_jax import TrainConfig, UserError, initializers
from lm_jax.cells import rnn
from lm_jax.config import from_dict, from_flat
from lm_jax.layers import Dropout, layer_norm
from lm_jax.models import from_config, recurrent_lm, window_lm
from lm_jax.models.window import BEFORE, LayerParams, WindowInits, WindowLMParams, position_norms
from tests.cases import assert_close, assert_identical, draw_like
from tests.oracles.windows import window_network
from tests.runs.toy import model_config, toy_config, write_corpus


V, T, B, E, H, WINDOW = 7, 5, 3, 4, 6, 3
TOKENS = np.random.default_rng(0).integers(V, size=(T, B), dtype=np.int32)
TARGETS = np.random.default_rng(1).integers(V, size=(T, B), dtype=np.int32)
SIZES = {"window": WINDOW, "embedding_size": E, "hidden_size": H}


def make(**options):
    """A model, and parameters from a normal distribution."""
    model = window_lm(V, **{**SIZES, **options})
    return model, draw_like(jax.eval_shape(model.init, jax.random.key(0)), seed=2)


def logits_after(model, params, *tokens):
    """The logits of the next token after a whole text."""
    return model.unroll(params, model.initial_carry(params, ()), np.array(tokens, np.int32))[1][-1]


def for_oracle(params):
    """Parameters as the oracle takes them."""
    p = jax.tree.map(np.asarray, params)
    size = p.embedding.shape[1]
    return {
        "embedding": p.embedding,
        "blocks": p.layers[0].w.reshape(-1, size, p.layers[0].w.shape[1]),
        "w": [layer.w for layer in p.layers[1:]],
        "b": [layer.b for layer in p.layers],
        "scale": [layer.scale for layer in p.layers if layer.scale is not None],
        "offset": [layer.offset for layer in p.layers if layer.offset is not None],
        "u": p.w_out,
        "direct": None if p.w_direct is None else p.w_direct.reshape(-1, size, V),
        "c": p.b_out,
    }


FORMS = {
    "bengio": {},
    "direct": {"direct": True},
    "one_token": {"window": 1, "direct": True},
    "longer_than_the_text": {"window": T + 2},
    "tied": {"tied": True, "hidden_size": E, "direct": True},
    "deep": {"layers": 3, "top_size": 5},
    "modern": {"layers": 3, "connection": "residual", "layer_norm": True, "nonlinearity": "relu"},
    "norm": {"layers": 2, "layer_norm": True, "nonlinearity": "sigmoid", "top_size": E, "tied": True},
}


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_logits_and_all_gradients_equal_the_equations(options, x64):
    model, params = make(**options)
    params = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    carry, weights = model.initial_carry(params, (B,)), np.random.default_rng(3).normal(size=(T, B, V))

    def value(params):
        logits = model.unroll(params, carry, TOKENS)[1]
        return jnp.sum(weights * logits), logits

    gradient, logits = jax.jit(jax.grad(value, has_aux=True))(params)
    texts = [TOKENS[: t + 1, b].tolist() for t in range(T) for b in range(B)]
    facts = {"nonlinearity": options.get("nonlinearity", "tanh"), "residual": "connection" in options}
    expected, backward = window_network(for_oracle(params), texts, **facts)
    np.testing.assert_allclose(logits.reshape(-1, V), expected, rtol=1e-10)
    assert_close(for_oracle(gradient), backward(weights.reshape(-1, V)), 1e-12)


def test_every_position_has_weights_of_its_own():
    """The order of the window matters; permuting the rows of the positions in the same way brings the output back."""
    model, params = make(direct=True)
    order = [2, 0, 1]
    text = np.array([5, 1, 3])  # in time: the newest, at position 0, is 3
    permuted = text[::-1][order][::-1]

    def moved(w):
        return w.reshape(WINDOW, E, -1)[np.array(order)].reshape(w.shape)

    same = params.replace(
        layers=(params.layers[0].replace(w=moved(params.layers[0].w)),), w_direct=moved(params.w_direct)
    )
    there = logits_after(model, params, *text)
    assert np.abs(there - logits_after(model, params, *permuted)).max() > 0.1
    np.testing.assert_allclose(logits_after(model, same, *permuted), there, rtol=1e-5)


@pytest.mark.parametrize(("options", "per_position"), [({}, E * H), ({"direct": True}, E * H + E * V)])
def test_parameters_grow_by_one_block_a_position(options, per_position):
    def count(window):
        params = jax.eval_shape(window_lm(V, **{**SIZES, "window": window}, **options).init, jax.random.key(0))
        return sum(leaf.size for leaf in jax.tree.leaves(params))

    assert [count(n + 1) - count(n) for n in (1, 2, 7)] == [per_position] * 3
    assert count(1) == V * E + per_position + H + H * V + V


@pytest.mark.parametrize("window", [1, 2, 3])
def test_only_the_last_tokens_of_the_window_matter(window):
    """Bit for bit; and the oldest of them does."""
    model, params = make(window=window, layers=2, direct=True)
    text = [2, 4, 1, 5, 0, 3]
    there = logits_after(model, params, *text)
    for place in range(len(text)):
        changed = text.copy()
        changed[place] = 6
        same = np.array_equal(logits_after(model, params, *changed), there)
        assert same == (place < len(text) - window)


def test_before_the_start_is_a_zero_vector():
    """At the first token the model is that of a window of one; a longer stream that was reset is at its start too."""
    model, params = make(direct=True)
    short = window_lm(V, **{**SIZES, "window": 1}, direct=True)
    first = params.layers[0].replace(w=params.layers[0].w[:E])
    short_params = params.replace(layers=(first,), w_direct=params.w_direct[:E])
    np.testing.assert_allclose(logits_after(model, params, 4), logits_after(short, short_params, 4), rtol=1e-5)
    carry = model.initial_carry(params, (2,))
    assert carry.dtype == jnp.int32 and carry.shape == (2, WINDOW - 1) and (carry == BEFORE).all()
    text, reset = np.array([1, 2, 3, 4], np.int32), np.arange(4) == 3
    carry, logits = model.unroll(params, model.initial_carry(params, ()), text, reset=reset)
    np.testing.assert_allclose(logits[-1], logits_after(model, params, 4), rtol=1e-5)
    assert carry.tolist() == [4, BEFORE]


def test_the_carry_is_all_but_the_oldest_of_the_window():
    model, params = make()
    carry, _ = model.unroll(params, model.initial_carry(params, (B,)), TOKENS)
    assert_identical(carry, TOKENS[:-WINDOW:-1].T)
    one, one_params = make(window=1)
    assert one.unroll(one_params, one.initial_carry(one_params, (B,)), TOKENS)[0].shape == (B, 0)


def test_without_weights_the_direct_connection_adds_nothing_and_alone_it_is_linear():
    model, params = make()
    direct, with_direct = make(direct=True)
    off = params.replace(w_direct=jnp.zeros((WINDOW * E, V)))
    np.testing.assert_allclose(logits_after(direct, off, 1, 2, 3), logits_after(model, params, 1, 2, 3), rtol=1e-6)
    alone = with_direct.replace(w_out=jnp.zeros((H, V)))
    x = params.embedding[np.array([3, 2, 1])].reshape(-1)
    expected = x @ with_direct.w_direct + with_direct.b_out
    np.testing.assert_allclose(logits_after(direct, alone, 1, 2, 3), expected, rtol=1e-5)


@pytest.mark.parametrize("switches", [{}, {"mask": np.ones((T, B), bool), "reset": np.zeros((T, B), bool)}], ids=len)
def test_the_products_are_over_all_steps_at_once(switches):
    """No loop over time but, where there are masks or resets, one over integers."""
    model, params = make(layers=2)
    carry = model.initial_carry(params, (B,))
    jaxpr = jax.make_jaxpr(lambda p: model.score(p, carry, TOKENS, TARGETS, **switches)[1])(params)
    loops = [e.params["jaxpr"] for e in jaxpr.jaxpr.eqns if e.primitive.name in ("scan", "while")]
    assert len(loops) == (1 if switches else 0)
    assert not any(jnp.issubdtype(v.aval.dtype, jnp.floating) for loop in loops for v in loop.jaxpr.invars)
    products = [e.outvars[0].aval.shape for e in jaxpr.jaxpr.eqns if e.primitive.name == "dot_general"]
    assert products == [(T * B, H), (T * B, H), (T * B, V)]


def masks(rate_of, kind, layers=1):
    """What dropout leaves of ones, [T, B, size], in a model of one token that shows it as its logits."""
    size = 6
    options = {"embedding_size": size, "hidden_size": size, "nonlinearity": "identity", "layers": layers}
    model = window_lm(size, window=1, **options, dropout=Dropout(kind=kind, **{rate_of: 0.5}))
    layer = LayerParams(jnp.eye(size), jnp.zeros(size), None, None)
    params = WindowLMParams(jnp.ones((size, size)), (layer,) * layers, jnp.eye(size), None, jnp.zeros(size))
    tokens = np.random.default_rng(0).integers(size, size=(20, B), dtype=np.int32)
    return tokens, np.asarray(model.unroll(params, model.initial_carry(params, (B,)), tokens, key=jax.random.key(0))[1])


@pytest.mark.parametrize("rate_of", ["input", "layer", "output"])
def test_dropout_is_elementwise_or_locked(rate_of):
    for kind, locked in (("elementwise", False), ("locked", True)):
        _, left = masks(rate_of, kind, layers=2)
        assert set(np.unique(left)) == {0.0, 2.0}
        assert np.all(left == left[:1]) == locked


def test_dropout_rate_is_that_of_inputs_of_outputs_and_between_layers():
    assert set(np.unique(masks("rate", "elementwise")[1])) == {0.0, 4.0}
    assert set(np.unique(masks("rate", "elementwise", layers=2)[1])) == {0.0, 8.0}
    assert set(np.unique(masks("layer", "elementwise")[1])) == {1.0}  # there is nothing between


def test_embedding_dropout_takes_a_type_wherever_it_stands():
    tokens, left = masks("embedding", "elementwise")
    assert set(np.unique(left)) == {0.0, 2.0}
    for token in range(6):
        assert len(np.unique(left[tokens == token])) == 1


def test_layer_norm():
    x = np.random.default_rng(0).normal(3, 5, size=(2, 4, 50)).astype(np.float32)
    normal = np.asarray(layer_norm(x, np.ones(50), np.zeros(50)))
    np.testing.assert_allclose(normal.mean(-1), 0, atol=1e-6)
    np.testing.assert_allclose(normal.var(-1), 1, rtol=1e-5)
    scale, offset = np.arange(50.0), np.arange(50.0)[::-1]
    np.testing.assert_allclose(layer_norm(x, scale, offset), normal * scale + offset, rtol=1e-5, atol=1e-5)
    assert_identical(layer_norm(np.full(50, 7.0), scale, offset), offset.astype(np.float32))  # of nothing, nothing


def test_initial_weights():
    model = window_lm(
        50, window=3, embedding_size=40, hidden_size=80, layers=2, layer_norm=True, inits=WindowInits(init_bound=0.05)
    )
    params = model.init(jax.random.key(0))
    for weights in (params.embedding, params.w_out):
        assert 0.049 < np.abs(weights).max() < 0.05
    first, second = params.layers
    assert np.std(first.w) == pytest.approx(120**-0.5, rel=0.05)  # LeCun: 1 / inputs
    np.testing.assert_allclose(second.w @ second.w.T, np.eye(80), atol=1e-5)
    for layer in params.layers:
        assert not layer.b.any() and not layer.offset.any() and (layer.scale == 1).all()
    assert not params.b_out.any() and params.w_direct is None


def test_norms_of_positions():
    _, params = make()
    blocks = params.layers[0].w.reshape(WINDOW, E, H).astype(np.float64)
    np.testing.assert_allclose(position_norms(params), np.sqrt((blocks**2).sum(axis=(1, 2))), rtol=1e-6)


CONFIGURED = {
    "default": ({}, {"window": 4}),
    "window": ({"window": 2, "direct": True, "layer_norm": True}, {"window": 2, "direct": True, "layer_norm": True}),
    "deep": (
        {"layers": 2, "connection": "residual", "nonlinearity": "relu", "tied": True, "embedding_size": H},
        {"layers": 2, "connection": "residual", "nonlinearity": "relu", "tied": True, "embedding_size": H},
    ),
    "top_size": ({"layers": 2, "top_size": 3}, {"layers": 2, "top_size": 3}),
    "uniform": (
        {"init": "uniform", "init_scale": 0.3},
        {"inits": WindowInits(*[initializers.uniform(0.3)] * 3)},
    ),
    "identity": (
        {"init": "identity", "layers": 2},
        {"inits": WindowInits(w_h_init=initializers.identity(1.0)), "layers": 2},
    ),
    "bfloat16": ({"compute_dtype": "bfloat16"}, {"compute_dtype": "bfloat16"}),
    "dropout": ({"dropout": 0.5, "dropout_kind": "locked"}, {"dropout": Dropout(0.5, "locked")}),
    "dropouts": (
        {"dropout_input": 0.1, "dropout_layer": 0.2, "dropout_output": 0.3, "dropout_embedding": 0.4, "layers": 2},
        {"dropout": Dropout(input=0.1, layer=0.2, output=0.3, embedding=0.4), "layers": 2},
    ),
}


@pytest.mark.parametrize(("settings", "options"), CONFIGURED.values(), ids=CONFIGURED)
def test_a_configuration_builds_the_model_it_describes(settings, options):
    sizes = {"embedding_size": E, "hidden_size": H}
    model = from_config(model_config(model="window", **{**sizes, **settings}), V)
    by_hand = window_lm(V, **{**sizes, **options})
    params = model.init(jax.random.key(0))
    assert_identical(params, by_hand.init(jax.random.key(0)))
    carry, key = model.initial_carry(params, (B,)), jax.random.key(1)
    assert_identical(*(m.unroll(params, carry, TOKENS, key=key) for m in (model, by_hand)))


def test_equal_settings_make_the_same_model():
    config = model_config(model="window", layers=2, init="uniform", dropout=0.1)
    assert from_config(config, V) is from_config(dataclasses.replace(config), V)
    assert window_lm(V, window=2) is window_lm(V, window=2)


def test_settings_from_before_there_were_kinds_of_models_are_those_of_a_recurrent_one():
    config = from_dict(TrainConfig, {"model": {"cell": "gru", "forget_bias": 1.0, "layers": 1}})
    assert config == TrainConfig(model=model_config(cell="gru"))
    small = dataclasses.replace(config.model, cell="rnn", hidden_size=4, embedding_size=3)
    by_hand = recurrent_lm(V, rnn(3, 4), dropout_rate=0.0, input_dropout=None)
    assert_identical(from_config(small, V).init(jax.random.key(0)), by_hand.init(jax.random.key(0)))


def windowed(**settings):
    return from_config(model_config(model="window", **settings), V)


def checked(**settings):
    return from_flat(TrainConfig, {"model": "window", **settings}).check()


MISTAKES = {
    "model": (
        lambda: from_config(model_config(model="fixed"), V),
        "model must be one of recurrent, window, attention, got 'fixed'",
    ),
    "cell": (lambda: windowed(cell="gru"), "cell is a setting of recurrent, got model window"),
    "weight_drop": (lambda: windowed(weight_drop=0.5), "weight_drop is a setting of recurrent, got model window"),
    "recurrence": (lambda: windowed(recurrence="fused"), "recurrence is a setting of recurrent, got model window"),
    "gru_reset": (lambda: windowed(gru_reset="before"), "gru_reset is a setting of recurrent, got model window"),
    "forget_bias": (lambda: windowed(forget_bias=0.0), "forget_bias is a setting of recurrent, got model window"),
    "recurrent": (
        lambda: from_config(model_config(direct=True), V),
        "direct is a setting of window, got model recurrent",
    ),
    "before_data": (
        lambda: TrainConfig(model=model_config(window=5)).check(),
        "window is a setting of window, got model recurrent",
    ),
    "activation_reg": (
        lambda: checked(activation_reg=2.0),
        "activation_reg is a setting of recurrent, got model window",
    ),
    "temporal_reg": (lambda: checked(temporal_reg=1.0), "temporal_reg is a setting of recurrent, got model window"),
    "dense": (lambda: windowed(connection="dense"), "connection must be plain or residual .* got 'dense'"),
    "highway": (lambda: windowed(connection="highway"), "connection must be plain or residual .* got 'highway'"),
    "window": (lambda: window_lm(V, window=0), "window must .* at least 1, got 0"),
    "layers": (lambda: window_lm(V, layers=0), "layers must .* at least 1, got 0"),
    "hidden": (lambda: window_lm(V, hidden_size=0), "hidden_size must .* at least 1, got 0"),
    "top": (lambda: window_lm(V, top_size=0), "top_size must .* at least 1, got 0"),
    "vocabulary": (lambda: window_lm(1), "vocabulary of at least 2 entries, got 1"),
    "tied": (lambda: window_lm(V, tied=True), "embedding_size equal to hidden_size, got 64 and 256"),
    "residual": (
        lambda: window_lm(V, layers=2, connection="residual", top_size=9),
        "top_size equal to hidden_size, got 9 and 256",
    ),
    "nonlinearity": (lambda: window_lm(V, nonlinearity="cubic"), "nonlinearity must be one of .* got 'cubic'"),
    "rate": (lambda: Dropout(layer=1.0), r"layer_dropout .* \[0, 1\), got 1.0"),
    "embedding_rate": (lambda: Dropout(embedding=-1), r"embedding_dropout .* \[0, 1\), got -1"),
    "kind": (lambda: Dropout(kind="bound"), "dropout_kind must be one of .* got 'bound'"),
}


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 3])
def test_a_run_is_named_tells_the_norms_and_resumes_bit_for_bit(window, tmp_path):
    """A window of 1 has no carry: checkpoints hold no arrays of size zero."""
    settings = {"model": "window", "window": window, "dropout": 0.1, "schedule": "constant", "steps": 6}
    config = toy_config(write_corpus(tmp_path / "text"), **settings)
    run = lm_jax.train(config, tmp_path / "whole")
    norms = json.loads((run.folder / "results.json").read_text())["position_norms"]
    assert norms == position_norms(run.params).tolist() and len(norms) == window
    assert run.results.closing.rows[-1].model == f"window-{window} 1x8"
    lm_jax.train(dataclasses.replace(config, steps=4), tmp_path / "part")
    lm_jax.resume(tmp_path / "part", dataclasses.replace(config, steps=6))
    trained = lm_jax.load(tmp_path / "part")
    model, params = trained.model, trained.params
    assert model is run.model
    assert_identical(params, run.params)
