"""The adaptive softmax against the paper's equations, with any number of rows in any cluster; what works with it."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.analysis.gradient_flow import gradient_flow
from lm_jax.analysis.trajectory import forward_pass
from lm_jax.cells import gru, lstm, rnn
from lm_jax.config import TrainConfig, from_dict, to_dict
from lm_jax.interop.torch_language_model import language_model_to_torch
from lm_jax.models import continuous_cache, from_config, recurrent_lm
from lm_jax.models.recurrent.tail_log_probs import ROWS, tail_log_probs
from lm_jax.training.losses import Chunk, cross_entropy, regularised_cross_entropy
from tests.cases import assert_close, draw_like
from tests.oracles import adaptive as oracle
from tests.runs.toy import model_config


V, CUTOFFS, T, B = 23, (5, 11), 9, 16  # T * B rows are more than two pieces of a tail


def drawn(model, seed=2):
    """Parameters from a normal distribution."""
    return draw_like(jax.eval_shape(model.init, jax.random.key(0)), seed)


def tokens_among(low, high, shape=(T, B), seed=0):
    """Random ids."""
    return np.random.default_rng(seed).integers(low, high, size=shape, dtype=np.int32)


def as_oracle(softmax):
    """Our parameters as the oracle's."""
    softmax = jax.tree.map(lambda a: np.asarray(a, np.float64), softmax)
    return {
        "head": np.concatenate([softmax.head, softmax.clusters]),
        "b_head": softmax.b_head,
        "words": [tail.words for tail in softmax.tails],
        "projections": [tail.projection for tail in softmax.tails],
        "biases": [tail.bias for tail in softmax.tails],
    }


def gathered(logits, targets):
    """The log-softmax at the targets: the plain formula, through which autodiff goes by itself."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]


TARGETS = {
    "anywhere": (0, V),
    "head": (0, CUTOFFS[0]),
    "first tail": CUTOFFS,
    "last tail": (CUTOFFS[1], V),
    "one word": (V - 1, V),
}


@pytest.mark.parametrize(("low", "high"), TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_log_probabilities_are_those_of_the_equations(tied, low, high):
    model = recurrent_lm(V, rnn(8, 8), tied=tied, cutoffs=CUTOFFS)
    params, targets = drawn(model), tokens_among(low, high)
    inputs = tokens_among(0, V, seed=1)
    carry = model.initial_carry(params, (B,))
    _, ys, _ = jax.jit(model.opened.hidden)(params, carry, inputs)
    p = as_oracle(params.softmax)
    rows = zip(np.asarray(ys, np.float64).reshape(-1, 8), targets.reshape(-1), strict=True)
    expected = np.reshape([oracle.log_prob(p, CUTOFFS, y, word) for y, word in rows], targets.shape)
    np.testing.assert_allclose(jax.jit(model.score)(params, carry, inputs, targets)[1], expected, atol=2e-5)
    every = [oracle.log_prob(p, CUTOFFS, np.asarray(ys, np.float64)[3, 2], word) for word in range(V)]
    np.testing.assert_allclose(jax.jit(model.unroll)(params, carry, inputs)[1][3, 2], every, atol=2e-5)


def test_a_tied_embedding_is_a_row_of_the_head_or_a_projected_word():
    model = recurrent_lm(V, rnn(8, 8), tied=True, cutoffs=CUTOFFS)
    params = drawn(model)
    p, words = as_oracle(params.softmax), np.arange(V)
    expected = [oracle.embedding(p, CUTOFFS, word) for word in words]
    assert_close(np.asarray(model.opened.embed(params, words), np.float64), np.array(expected), 1e-6)
    assert params.embedding is None
    assert [tail.words.shape for tail in params.softmax.tails] == [(6, 2), (12, 1)]  # 8 / 4, and at least 1


def test_the_gradient_is_that_of_the_plain_formula(x64):
    model = recurrent_lm(V, gru(6, 6), tied=True, cutoffs=CUTOFFS, cutoff_factor=2, dropout_rate=0.2)
    params = jax.tree.map(lambda a: np.asarray(a, np.float64), drawn(model))
    inputs, weights, key = tokens_among(0, V), draw_like(np.zeros((T, B)), 4), jax.random.key(0)
    carry = jax.tree.map(lambda a: np.asarray(a, np.float64), model.initial_carry(params, (B,)))

    def through_score(params, targets):
        return jnp.sum(weights * model.score(params, carry, inputs, targets, key=key)[1])

    def through_logits(params, targets):
        return jnp.sum(weights * gathered(model.unroll(params, carry, inputs, key=key)[1], targets))

    actual, expected = (jax.jit(jax.value_and_grad(f)) for f in (through_score, through_logits))
    for low, high in TARGETS.values():
        targets = tokens_among(low, high, seed=1)
        assert_close(actual(params, targets), expected(params, targets), 1e-12)


@pytest.mark.parametrize("count", [0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS - 5])
def test_any_number_of_members_is_exact(count, x64):
    """None, one, a piece and its neighbours, and every row, which do not fill the last piece."""
    rows = 3 * ROWS - 5
    generator = np.random.default_rng(count)
    members = generator.permutation(np.arange(rows) < count)
    targets = generator.integers(7, size=rows)
    hs, words, bias, weights = (generator.normal(size=s) for s in ((rows, 3), (7, 3), (7,), (rows,)))

    def ours(hs, words, bias):
        return tail_log_probs(hs, words, bias, np.where(members, targets, 99), members)  # of others no target matters

    def plain(hs, words, bias):
        return jnp.where(members, gathered(hs @ words.T + bias, targets), 0.0)

    results = (jax.vjp(f, hs, words, bias) for f in (ours, plain))
    (actual, back), (expected, plain_back) = results
    assert_close(actual, expected, 1e-12)
    assert_close(back(weights), plain_back(weights), 1e-12)


@pytest.mark.parametrize(("tied", "train"), [(False, False), (False, True), (True, True)])
def test_nothing_of_the_size_of_the_logits_is_held(tied, train):
    length, rows, words, size = 64, 8, 5000, 8
    model = recurrent_lm(words, gru(size, size), tied=tied, cutoffs=(300, 1500))

    def loss(params, tokens):
        return -jnp.mean(model.score(params, model.initial_carry(params, (rows,)), tokens, tokens)[1])

    params = jax.eval_shape(model.init, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((length, rows), jnp.int32)
    program = jax.jit(jax.value_and_grad(loss) if train else loss).lower(params, tokens).compile()
    shapes = re.findall(r"\b[a-z]+[0-9]+\[([0-9,]+)\]", program.as_text())
    assert max(math.prod(map(int, shape.split(","))) for shape in shapes) <= ROWS * 3500 < length * rows * words / 10
    assert program.memory_analysis().temp_size_in_bytes < 4 * length * rows * words / 3


def test_embeddings_and_logits_start_with_one_variance_in_every_cluster():
    model = recurrent_lm(3000, rnn(64, 64), tied=True, cutoffs=(1000, 2000))
    params = model.init(jax.random.key(0))
    clusters = np.split(np.asarray(model.opened.embed(params, np.arange(3000))), [1000, 2000])
    ys = np.random.default_rng(0).normal(size=(500, 64))
    tails = params.softmax.tails
    logits = [ys @ params.softmax.head.T, *(ys @ tail.projection.T @ tail.words.T for tail in tails)]
    for part in (clusters, logits):
        np.testing.assert_allclose([np.std(a) for a in part[1:]], np.std(part[0]), rtol=0.3)


def test_dropout_of_types_takes_whole_words_of_every_cluster():
    model = recurrent_lm(V, rnn(4, 4, nonlinearity="identity"), tied=True, cutoffs=CUTOFFS, embedding_dropout=0.5)
    params = drawn(model)
    params = params.replace(cell=jax.tree.map(np.zeros_like, params.cell).replace(w_x=np.eye(4, dtype=np.float32)))
    words, carry = np.arange(V)[None], model.initial_carry(params, (V,))
    ys = np.asarray(model.opened.hidden(params, carry, words, key=jax.random.key(1))[1])[0]
    factors = ys / np.asarray(model.opened.embed(params, words[0]))
    np.testing.assert_allclose(factors, np.round(factors[:, :1]).repeat(4, 1), atol=1e-5)
    assert {0, 2} == set(np.round(factors[:, 0]).astype(int))


@pytest.mark.slow
def test_what_opens_a_model_at_its_states_works():
    """A cache, penalties on outputs, gradients through time: by embed, logits and log_probs, not by matrices."""
    model = recurrent_lm(V, lstm(8, 8), tied=True, cutoffs=CUTOFFS)
    params, inputs, targets = drawn(model), tokens_among(0, V, (5, 2)), tokens_among(0, V, (5, 2), 1)
    carry = model.initial_carry(params, (2,))
    np.testing.assert_array_equal(
        forward_pass(model.opened, params, carry, inputs)[0], model.opened.embed(params, inputs)
    )

    cached = continuous_cache(model, 3)
    cache_params = cached.init(jax.random.key(0)).replace(model=params)
    start = cached.initial_carry(cache_params, (2,))
    _, logits = cached.unroll(cache_params, start, inputs)
    assert_close(cached.score(cache_params, start, inputs, targets)[1], gathered(logits, targets), 1e-5)

    chunk = Chunk(inputs, targets, np.ones((5, 2), bool), None)
    values = [f(params, carry, chunk, None)[0] for f in (cross_entropy(model), regularised_cross_entropy(model, 0, 0))]
    assert values[0] == pytest.approx(float(values[1]), rel=1e-6)

    flow = gradient_flow(model, params, inputs, targets=targets)
    ys = model.opened.hidden(params, carry, inputs)[1]
    slopes = jax.grad(lambda ys: -jnp.sum(gathered(model.opened.logits(params, ys), targets)))(ys)
    np.testing.assert_allclose(flow.output, np.log(np.linalg.norm(slopes, axis=-1).T), atol=1e-4)


def test_a_configuration_builds_it_and_survives_json():
    config = TrainConfig(model=model_config(cutoffs=(2, 9), cutoff_factor=2, hidden_size=8, embedding_size=3))
    model = from_config(from_dict(TrainConfig, to_dict(config)).model, V)
    assert model is from_config(config.model, V)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    assert shapes.embedding.shape == (V, 3)
    assert [tail.words.shape for tail in shapes.softmax.tails] == [(7, 4), (14, 2)]
    saved = to_dict(TrainConfig())
    del saved["model"]["cutoffs"], saved["model"]["cutoff_factor"]  # settings from before there were any
    assert from_dict(TrainConfig, saved) == TrainConfig()


MISTAKES = {
    "falling": (lambda: recurrent_lm(V, rnn(3, 4), cutoffs=(9, 9)), r"cutoffs must be numbers that rise, got 9 9"),
    "none": (lambda: recurrent_lm(V, rnn(3, 4), cutoffs=(0, 9)), "cutoffs must be .* at least 1, got 0"),
    "outside": (lambda: recurrent_lm(V, rnn(3, 4), cutoffs=(9, V)), rf"below the size .* {V}, got \(9, {V}\)"),
    "factor": (lambda: recurrent_lm(V, rnn(3, 4), cutoffs=(9,), cutoff_factor=0), "cutoff_factor .* at least 1, got 0"),
    "tied": (lambda: recurrent_lm(V, rnn(3, 4), tied=True, cutoffs=(9,)), "embedding_size equal to hidden_size"),
    "settings": (lambda: TrainConfig(model=model_config(cutoffs=(5, 3))).check(), r"rise, got 5 3"),
    "window": (
        lambda: model_config(model="window", cutoffs=(5,)).check(),
        "cutoffs is a setting of recurrent, got model window",
    ),
}


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()


def test_torchs_example_has_no_adaptive_softmax():
    model = recurrent_lm(V, lstm(8, 8), cutoffs=CUTOFFS)
    with pytest.raises(UserError, match=r"one full softmax, got parameters AdaptiveLMParams"):
        language_model_to_torch(model, drawn(model))
