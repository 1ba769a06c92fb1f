"""Mixtures equal interpolation by hand, whatever is mixed: n-grams with zeros, caches, recurrent models, mixtures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.cells import rnn
from lm_jax.inference import Sampler, beam_search, generate, likelihood, token_log_probs
from lm_jax.models import recurrent_lm
from lm_jax.models.caches.unigram import unigram_cache
from lm_jax.models.interpolation import MixtureParams, mixture, mixture_params
from lm_jax.models.ngram import estimate
from lm_jax.models.ngram.model import ngram_lm


V, EOL = 6, 0
rng = np.random.default_rng(0)
TEXT = rng.choice(V, 300, p=[0.2, 0.35, 0.2, 0.15, 0.1, 0.0]).astype(np.int32)  # type 5 never occurs
OTHER = rng.integers(0, V, 60).astype(np.int32)
WEIGHTS = [0.5, 0.2, 0.3]


def ngram(order, method):
    return ngram_lm(order, V, EOL), jax.tree.map(jnp.asarray, estimate(TEXT, order, V, EOL, method=method).params)


def drawn(model, scale=1.0):
    """Parameters from a normal distribution."""
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return model, jax.tree.map(lambda s: jnp.asarray(scale * rng.normal(size=s.shape), s.dtype), shapes)


PARTS = [ngram(3, "modified-kneser-ney"), drawn(unigram_cache(V, 7)), drawn(recurrent_lm(V, rnn(3, 4)))]
MODELS, PARAMS = zip(*PARTS, strict=True)
MIXED, MIXED_PARAMS = mixture(MODELS), mixture_params(WEIGHTS, PARAMS)
ZEROS = [ngram(2, "maximum-likelihood"), ngram(1, "maximum-likelihood")]  # type 5 is impossible for both


def interpolated(parts, weights, text):
    """sum_m w_m P_m of each token, in float64."""
    log_probs = [token_log_probs(*part, text, EOL, eval_streams=3) for part in parts]
    return np.asarray(weights) @ np.exp(np.stack(log_probs).astype(np.float64))


def test_score_is_the_interpolation_by_hand():
    scored = token_log_probs(MIXED, MIXED_PARAMS, OTHER, EOL, eval_streams=3)
    np.testing.assert_allclose(np.exp(scored), interpolated(PARTS, WEIGHTS, OTHER), rtol=1e-5)


def test_unroll_and_steps_are_the_interpolation_of_distributions():
    tokens = OTHER.reshape(-1, 3)
    _, logits = jax.jit(MIXED.unroll)(MIXED_PARAMS, MIXED.initial_carry(MIXED_PARAMS, (3,)), tokens)
    expected = 0
    for weight, (model, params) in zip(WEIGHTS, PARTS, strict=True):
        _, own = jax.jit(model.unroll)(params, model.initial_carry(params, (3,)), tokens)
        expected += weight * np.asarray(jax.nn.softmax(own), np.float64)
    np.testing.assert_allclose(jnp.exp(logits), expected, rtol=1e-5)
    carry, step = MIXED.initial_carry(MIXED_PARAMS, (3,)), jax.jit(MIXED.step)
    for token, at_once in zip(tokens[:4], logits, strict=False):
        carry, one = step(MIXED_PARAMS, carry, token)
        np.testing.assert_allclose(one, at_once, atol=1e-5)


def test_weights_need_not_be_normalised():
    params = MixtureParams(MIXED_PARAMS.log_weights + 3.0, MIXED_PARAMS.models)
    before, after = (likelihood(MIXED, p, OTHER, EOL).log_prob for p in (MIXED_PARAMS, params))
    assert before == pytest.approx(after, rel=1e-6)


def test_all_weight_on_one_model_is_that_model():
    params = mixture_params([0.0, 0.0, 1.0], PARAMS)
    assert likelihood(MIXED, params, OTHER, EOL).log_prob == pytest.approx(
        likelihood(*PARTS[2], OTHER, EOL).log_prob, rel=1e-6
    )


def test_init_has_equal_weights_and_every_models_own_init():
    params = MIXED.init(jax.random.key(0))
    np.testing.assert_allclose(jax.nn.softmax(params.log_weights), 1 / 3, rtol=1e-6)
    own = [model.init(jax.random.key(0)) for model in MODELS]
    assert jax.tree.structure(params.models) == jax.tree.structure(tuple(own))
    uniform = mixture(MODELS[:1])
    assert likelihood(uniform, uniform.init(jax.random.key(0)), OTHER, EOL).perplexity == pytest.approx(V, rel=1e-5)


def test_mixtures_nest():
    inner = mixture([MODELS[0], MODELS[1]])
    outer = mixture([inner, MODELS[2]])
    params = mixture_params([0.7, 0.3], [mixture_params([5 / 7, 2 / 7], PARAMS[:2]), PARAMS[2]])
    nested, flat = (token_log_probs(m, p, OTHER, EOL) for m, p in ((outer, params), (MIXED, MIXED_PARAMS)))
    np.testing.assert_allclose(nested, flat, atol=1e-5)


def test_what_is_impossible_for_all_is_impossible_and_never_nan():
    models, params = zip(*ZEROS, strict=True)
    mixed, mixed_params = mixture(models), mixture_params([0.9, 0.1], params)
    scored = token_log_probs(mixed, mixed_params, OTHER, EOL, eval_streams=3)
    np.testing.assert_array_equal(np.isneginf(scored), OTHER == 5)
    np.testing.assert_allclose(np.exp(scored), interpolated(ZEROS, [0.9, 0.1], OTHER), rtol=1e-5)
    _, logits = jax.jit(mixed.unroll)(mixed_params, mixed.initial_carry(mixed_params, (1,)), OTHER[:, None])
    assert not np.isnan(logits).any() and np.isneginf(logits[..., 5]).all()
    np.testing.assert_allclose(jnp.exp(logits).sum(-1), 1, rtol=1e-5)


def test_zeros_of_one_model_are_filled_by_the_other_and_leave_the_gradient_of_weights_finite():
    """d log P / d log w_m is w_m P_m / P - w_m: the model without the word pulls its weight down by all of it."""
    models, params = zip(ZEROS[1], PARTS[2], strict=True)
    mixed, mixed_params = mixture(models), mixture_params([0.25, 0.75], params)
    word = jnp.array([[5]])

    def log_prob(log_weights):
        carry = mixed.initial_carry(mixed_params, (1,))
        return mixed.score(mixed_params.replace(log_weights=log_weights), carry, word * 0, word)[1].sum()

    np.testing.assert_allclose(jax.jit(jax.grad(log_prob))(mixed_params.log_weights), [-0.25, 0.25], rtol=1e-5)

    def impossible(log_weights):
        models, params = zip(*ZEROS, strict=True)
        mixed, mixed_params = mixture(models), mixture_params([0.5, 0.5], params)
        carry = mixed.initial_carry(mixed_params, (1,))
        logits = mixed.unroll(mixed_params.replace(log_weights=log_weights), carry, word * 0)[1]
        return jnp.where(jnp.isneginf(logits), 0.0, logits).sum()

    assert np.isfinite(jax.jit(jax.grad(impossible))(jnp.zeros(2))).all()


def test_each_model_draws_with_a_key_of_its_own():
    """The same model twice, with dropout: one draw for both would make the mixture the model itself."""
    model, params = drawn(recurrent_lm(V, rnn(3, 4), dropout_rate=0.5))
    twice, tokens = mixture([model, model]), OTHER.reshape(-1, 3)
    both = mixture_params([0.5, 0.5], [params, params])
    key = jax.random.key(3)
    _, scored = jax.jit(twice.score)(both, twice.initial_carry(both, (3,)), tokens, tokens, key=key)
    start, keys = model.initial_carry(params, (3,)), jax.random.split(key)
    score = jax.jit(model.score)
    each = [score(params, start, tokens, tokens, key=own)[1] for own in keys]
    np.testing.assert_allclose(scored, jnp.logaddexp(*each) - jnp.log(2.0), atol=1e-5)
    assert np.any(each[0] != each[1])


def test_it_generates_and_searches():
    tokens = generate(MIXED, MIXED_PARAMS, np.array([1, 2]), 30, jax.random.key(1), eol_id=EOL, num_samples=2)
    assert tokens.shape == (30, 2)
    greedy = generate(MIXED, MIXED_PARAMS, [1], 8, jax.random.key(0), eol_id=EOL, sampler=Sampler(greedy=True))
    beams = beam_search(MIXED, MIXED_PARAMS, np.array([1]), 8, eol_id=EOL, beam_size=1)
    length = beams.lengths[0]
    np.testing.assert_array_equal(beams.tokens[0, :length], greedy[:length, 0])
    best = beam_search(MIXED, MIXED_PARAMS, np.array([1]), 2, eol_id=EOL, beam_size=V**2)
    text = np.array([1, *best.tokens[0, : best.lengths[0]]])
    scored = token_log_probs(MIXED, MIXED_PARAMS, text, EOL, eval_streams=1)[1:].sum()
    assert scored == pytest.approx(float(best.log_probs[0]), abs=1e-4)


def test_factories_are_cached_on_the_models():
    assert mixture(list(MODELS)) is MIXED
    assert mixture(MODELS[:2]) is not MIXED


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: mixture([]), "must share one vocabulary, got no models"),
        (lambda: mixture([ngram_lm(1, 5, EOL), ngram_lm(1, 7, EOL)]), r"must share one vocabulary, got \[5, 7\]"),
        (lambda: mixture_params([0.5, 0.6], PARAMS[:2]), r"at least 0 and sum to one, got \[0.5, 0.6\]"),
        (lambda: mixture_params([1.5, -0.5], PARAMS[:2]), r"at least 0 and sum to one, got \[1.5, -0.5\]"),
        (lambda: mixture_params([float("nan"), 1], PARAMS[:2]), r"at least 0 and sum to one"),
        (lambda: mixture_params([1.0], PARAMS), r"a mixture of 3 models needs one weight for each, got \[1.0\]"),
    ],
)
def test_bad_requests(call, message):
    with pytest.raises(UserError, match=message):
        call()
