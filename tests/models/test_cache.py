"""Cache models equal their equations, by brute force over histories with masks, resets and chunks; and their edges."""

import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.cells import gru, rnn
from lm_jax.inference import beam_search, generate, likelihood
from lm_jax.models import recurrent_lm
from lm_jax.models.caches.continuous import (
    ContinuousCacheParams,
    continuous_cache,
    continuous_cache_params,
    masked_softmax,
)
from lm_jax.models.caches.unigram import UnigramCacheParams, unigram_cache
from lm_jax.models.language_model import LanguageModel
from tests.cases import assert_close
from tests.oracles import caches
from tests.oracles.caches import histories


V, EOL, H = 5, 0, 4
T, B = 17, 3
rng = np.random.default_rng(0)
TOKENS, TARGETS = rng.integers(0, V, (2, T, B)).astype(np.int32)
MASK, RESET = rng.random((T, B)) < 0.7, rng.random((T, B)) < 0.3
ALL, NONE = np.ones((T, B), bool), np.zeros((T, B), bool)
SWITCHES = {"plain": (ALL, NONE), "masks and resets": (MASK, RESET)}
SIZES = [1, 2, 5, 40]

UNIGRAM = {"pseudo_count": 0.7, "decay": 0.3}
CONTINUOUS = {"theta": 1.5, "weight": 0.4}
RNN = recurrent_lm(V, rnn(3, H))
RNN_PARAMS = jax.tree.map(
    lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), jax.eval_shape(RNN.init, jax.random.key(0))
)


def unigram(size):
    return unigram_cache(V, size), UnigramCacheParams(jnp.log(UNIGRAM["pseudo_count"]), jnp.float32(UNIGRAM["decay"]))


def continuous(size):
    return continuous_cache(RNN, size), continuous_cache_params(RNN_PARAMS, **CONTINUOUS)


def expect_unigram(read, size):
    return caches.unigram_cache(read, V, size, **UNIGRAM)


def expect_continuous(read, size):
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), RNN_PARAMS)
    states = caches.rnn_states(read, p.embedding, p.cell.w_x, p.cell.w_h, p.cell.b)
    model_probs = caches.softmax(states[-1] @ p.w_out + p.b_out)
    return caches.continuous_cache(read, states, model_probs, size, **CONTINUOUS)


CACHES = {"unigram": (unigram, expect_unigram), "continuous": (continuous, expect_continuous)}
both = pytest.mark.parametrize("make, expect", CACHES.values(), ids=CACHES)


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
@pytest.mark.parametrize("size", SIZES)
@both
def test_unroll_and_score_equal_the_equations(make, expect, size, switches):
    (model, params), (mask, reset) = make(size), switches
    arguments = {"mask": jnp.asarray(mask), "reset": jnp.asarray(reset)}
    start = model.initial_carry(params, (B,))
    _, logits = jax.jit(model.unroll)(params, start, TOKENS, **arguments)
    _, log_probs = jax.jit(model.score)(params, start, TOKENS, TARGETS, **arguments)
    for b in range(B):
        for t, steps in enumerate(histories(TOKENS[:, b], mask[:, b], reset[:, b])):
            if steps is None:
                assert log_probs[t, b] == 0
            else:
                expected = expect(TOKENS[steps, b], size)
                np.testing.assert_allclose(np.exp(logits[t, b]), expected, rtol=2e-5)
                np.testing.assert_allclose(np.exp(log_probs[t, b]), expected[TARGETS[t, b]], rtol=2e-5)


@pytest.mark.parametrize("size", [pytest.param(size, marks=[pytest.mark.slow] * (size != 5)) for size in SIZES])
@both
def test_score_in_chunks_of_three_equals_one_chunk(make, expect, size):
    model, params = make(size)
    score = jax.jit(model.score)
    start = model.initial_carry(params, (B,))
    whole_carry, whole = score(params, start, TOKENS, TARGETS, mask=MASK, reset=RESET)
    carry, pieces = start, []
    for t in range(0, T, 3):
        now = slice(t, t + 3)
        carry, piece = score(params, carry, TOKENS[now], TARGETS[now], mask=MASK[now], reset=RESET[now])
        pieces.append(piece)
    assert_close(jnp.concatenate(pieces), whole, 1e-5)
    assert_close(carry, whole_carry, 1e-5)


@both
def test_all_strings_have_probability_one(make, expect):
    model, params = make(2)
    strings = np.array(list(itertools.product(range(V), repeat=4)), np.int32).T
    inputs = np.concatenate([np.full_like(strings[:1], EOL), strings[:-1]])
    _, log_probs = jax.jit(model.score)(params, model.initial_carry(params, (V**4,)), inputs, strings)
    assert np.exp(np.asarray(log_probs, np.float64).sum(0)).sum() == pytest.approx(1, abs=1e-5)


@both
def test_it_generates_and_searches(make, expect):
    model, params = make(6)
    tokens = generate(model, params, np.array([1, 2, 1]), 40, jax.random.key(1), eol_id=EOL, num_samples=2)
    assert tokens.shape == (40, 2) and tokens.min() >= 0 and tokens.max() < V
    beams = beam_search(model, params, np.array([1, 2, 1]), 3, eol_id=EOL, beam_size=V**3)
    text = np.array([1, 2, 1, *beams.tokens[0, : beams.lengths[0]]])
    scored = likelihood(model, params, text, EOL, eval_streams=1).log_prob
    prompt = likelihood(model, params, text[:3], EOL, eval_streams=1).log_prob
    assert scored - prompt == pytest.approx(float(beams.log_probs[0]), abs=1e-4)


def test_unigram_cache_by_hand():
    """Read 0 1 1, window 2, k = 1, V = 5: c(1) = 2, n = 2; P(1) = (2 + 1/5) / 3, every other word (1/5) / 3."""
    model = unigram_cache(V, 2, pseudo_count=1.0)
    params = model.init(jax.random.key(0))
    _, logits = jax.jit(model.unroll)(params, model.initial_carry(params, ()), jnp.array([0, 1, 1]))
    np.testing.assert_allclose(jnp.exp(logits[-1]), [0.2 / 3, 2.2 / 3, 0.2 / 3, 0.2 / 3, 0.2 / 3], rtol=1e-6)


def test_with_an_empty_cache_the_model_is_alone_and_a_cache_of_a_repeated_word_gives_it_its_weight():
    model, params = continuous(4)
    carry = model.initial_carry(params, ())
    _, logits = jax.jit(model.unroll)(params, carry, jnp.array([1, 2]))
    _, alone = jax.jit(RNN.unroll)(RNN_PARAMS, carry.model, jnp.array([1, 2]))
    alone = jax.nn.softmax(alone)
    np.testing.assert_allclose(jnp.exp(logits[0]), alone[0], rtol=1e-5)
    np.testing.assert_allclose(jnp.exp(logits[1]), 0.6 * alone[1] + 0.4 * np.eye(V)[2], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_all_weight_on_one_side(weight):
    """No NaN where a logarithm is infinite: a cache alone has zeros."""
    model, _ = continuous(3)
    params = continuous_cache_params(RNN_PARAMS, 1.0, weight)
    _, logits = model.unroll(params, model.initial_carry(params, (B,)), TOKENS)
    _, log_probs = model.score(params, model.initial_carry(params, (B,)), TOKENS, TARGETS)
    assert not np.isnan(logits).any() and (np.isneginf(logits).any() == (weight == 1.0))
    np.testing.assert_allclose(jnp.exp(logits).sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        jnp.exp(log_probs), np.take_along_axis(np.exp(logits), TARGETS[..., None], -1)[..., 0], rtol=1e-5
    )


@pytest.mark.slow
def test_large_similarities_neither_overflow_nor_give_nan_in_the_gradient():
    model = continuous_cache(RNN, 5)

    def loss(params):
        return model.score(params, model.initial_carry(params, (B,)), TOKENS, TARGETS, mask=MASK, reset=RESET)[1].sum()

    for theta in (-1e4, 0.0, 1e4):
        params = continuous_cache_params(RNN_PARAMS, theta, 0.3)
        value, gradient = jax.value_and_grad(loss)(params)
        assert np.isfinite(value) and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_a_steep_decay_forgets_all_but_the_last_word_and_has_a_gradient():
    model = unigram_cache(V, 5)

    def loss(params):
        return model.score(params, model.initial_carry(params, (B,)), TOKENS, TARGETS)[1].sum()

    steep = UnigramCacheParams(jnp.float32(0.0), jnp.float32(50.0))
    value, gradient = jax.jit(jax.value_and_grad(loss))(steep)
    expected = np.where(TOKENS == TARGETS, (1 + 1 / V) / 2, (1 / V) / 2)
    assert value == pytest.approx(np.log(expected).sum(), rel=1e-5)
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(gradient))


def test_dropout_does_not_reach_what_the_cache_compares():
    """Only the outputs have dropout: the cache alone is the same with a key and without."""
    dropping = recurrent_lm(V, rnn(3, H), output_dropout=0.5)
    model, params = continuous_cache(dropping, 5), continuous_cache_params(RNN_PARAMS, 1.0, 1.0)
    start = model.initial_carry(params, (B,))
    score = jax.jit(model.score)
    plain = score(params, start, TOKENS, TARGETS)[1]
    dropped = score(params, start, TOKENS, TARGETS, key=jax.random.key(0))[1]
    np.testing.assert_allclose(dropped[1:], plain[1:], rtol=1e-6)
    assert np.all(dropped[0] != plain[0])  # the cache is still empty: the model's own probability


def test_a_step_multiplies_by_the_vocabulary_once():
    """Probabilities of all words come from one product, not one a word."""
    model, params = continuous(5)
    carry = jax.eval_shape(lambda p: model.initial_carry(p, (B,)), params)
    text = jax.jit(model.step).lower(params, carry, jax.ShapeDtypeStruct((B,), jnp.int32)).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line and f"x{V}xf32>" in line.split("->")[-1]]
    assert len(products) == 1


def wide_continuous(vocab_size, size):
    """A cache around a model whose softmax works in pieces of a sixteenth of the logits."""
    return continuous_cache(recurrent_lm(vocab_size, rnn(4, 4), logits_limit=64 * 8 * 5000 * 4 // 16), size)


@pytest.mark.parametrize("make", [unigram_cache, wide_continuous])
def test_score_holds_nothing_of_the_size_of_the_logits(make):
    length, rows, words = 64, 8, 5000
    model = make(words, 30)
    params = jax.eval_shape(model.init, jax.random.key(0))
    carry = jax.eval_shape(lambda p: model.initial_carry(p, (rows,)), params)
    tokens, switch = (jax.ShapeDtypeStruct((length, rows), dtype) for dtype in (jnp.int32, bool))
    program = jax.jit(model.score).lower(params, carry, tokens, tokens, mask=switch, reset=switch).compile()
    shapes = re.findall(r"\b[a-z]+[0-9]+\[([0-9,]+)\]", program.as_text())
    assert max(math.prod(map(int, shape.split(","))) for shape in shapes) < length * rows * words / 8


def test_the_carry_is_one_window_a_row():
    model, params = continuous(7)
    carry = model.initial_carry(params, (2, B))
    assert carry.tokens.shape == (2, B, 7) and carry.hidden.shape == (2, B, 7, H)
    assert np.all(masked_softmax(jnp.ones((2, 3)), jnp.zeros((2, 3), bool)) == 0)


def test_factories_are_cached():
    assert unigram_cache(V, 3) is unigram_cache(V, 3)
    assert continuous_cache(RNN, 3) is continuous_cache(RNN, 3)
    initial = continuous_cache(RNN, 3).init(jax.random.key(0))
    assert isinstance(initial, ContinuousCacheParams)
    assert float(jax.nn.sigmoid(initial.logit_weight)) == pytest.approx(0.1)


NO_STATES = LanguageModel(*[None] * 5, V)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: unigram_cache(V, 0), "size must be a whole number of at least 1, got 0"),
        (lambda: unigram_cache(V, 3, pseudo_count=0.0), "pseudo_count must be above 0, got 0.0"),
        (lambda: unigram_cache(V, 3, decay=-1.0), "decay must be at least 0, got -1.0"),
        (lambda: continuous_cache(RNN, 0), "size must be a whole number of at least 1, got 0"),
        (lambda: continuous_cache(NO_STATES, 3), "needs a recurrent model, for its hidden states, got one without"),
        (lambda: continuous_cache_params(RNN_PARAMS, 1.0, 1.5), r"in \[0, 1\], got 1.5"),
    ],
)
def test_bad_requests(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_a_stack_around_another_cell_works_too():
    """Hidden states of any size, and a model whose softmax works in pieces."""
    model = continuous_cache(recurrent_lm(V, gru(3, 6), logits_limit=64), 4)
    params = model.init(jax.random.key(0))
    start = model.initial_carry(params, (B,))
    _, logits = jax.jit(model.unroll)(params, start, TOKENS)
    np.testing.assert_allclose(jnp.exp(logits).sum(-1), 1, rtol=1e-5)
