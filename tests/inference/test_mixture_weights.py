"""EM for mixture weights against a grid and its own guarantees; and mixtures and caches fitted on held-out text."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.cells import rnn
from lm_jax.inference import em_weights, fit_cache, fit_mixture, likelihood, token_log_probs
from lm_jax.models import recurrent_lm
from lm_jax.models.caches.continuous import continuous_cache, continuous_cache_params
from lm_jax.models.caches.unigram import unigram_cache
from lm_jax.models.ngram import estimate
from lm_jax.models.ngram.model import ngram_lm


V, EOL = 6, 0
INF = np.inf
rng = np.random.default_rng(0)
# log-probabilities [M, N] of some models that are each good at something else
RANDOM = np.log(rng.dirichlet([0.5] * 4, size=200).T)


def log_likelihood(weights, log_probs):
    """sum_n log sum_m w_m p_mn."""
    return np.log(np.asarray(weights) @ np.exp(log_probs)).sum()


def test_two_weights_equal_the_best_of_a_grid():
    for seed in range(5):
        log_probs = np.log(np.random.default_rng(seed).beta(0.5, 2, size=(2, 50)))
        grid = np.linspace(0, 1, 10_001)[1:-1]
        best = grid[np.argmax([log_likelihood([w, 1 - w], log_probs) for w in grid])]
        weights = em_weights(log_probs)
        assert weights.dtype == np.float64 and weights.sum() == pytest.approx(1, abs=1e-12)
        assert weights[0] == pytest.approx(best, abs=2e-3)
        assert log_likelihood(weights, log_probs) >= log_likelihood([best, 1 - best], log_probs) - 1e-5


def test_the_likelihood_never_decreases():
    values = [log_likelihood(em_weights(RANDOM, max_iterations=n), RANDOM) for n in range(1, 60)]
    assert values[0] > log_likelihood([0.25] * 4, RANDOM)
    assert np.all(np.diff(values) >= -1e-10) and values[-1] > values[0] + 1e-3


def test_at_the_optimum_the_conditions_of_kuhn_and_tucker_hold():
    """mean_n p_mn / P_n is 1 for every model that has weight, and at most 1 for one that has none."""
    log_probs = np.concatenate([RANDOM, RANDOM[:1] - 1])
    weights = em_weights(log_probs, tolerance=1e-15, max_iterations=20_000)
    ratios = (np.exp(log_probs) / (weights @ np.exp(log_probs))).mean(axis=1)
    assert np.all(ratios[:4] == pytest.approx(1, abs=1e-4)) and ratios[4] < 0.5 and weights[4] < 1e-12


def test_one_step_by_hand():
    """p = (1/2, 1/4) and (1/6, 3/4): P = 1/3 and 1/2; shares of the first model 3/4 and 1/4, of the second the same."""
    log_probs = np.log([[1 / 2, 1 / 4], [1 / 6, 3 / 4]])
    np.testing.assert_allclose(em_weights(log_probs, max_iterations=1), [(3 / 4 + 1 / 4) / 2, 1 / 2])
    log_probs = np.log([[1 / 2, 1 / 2], [1 / 6, 1 / 2]])
    np.testing.assert_allclose(em_weights(log_probs, max_iterations=1), [(3 / 4 + 1 / 2) / 2, (1 / 4 + 1 / 2) / 2])


def test_models_that_are_the_same_keep_equal_weights():
    np.testing.assert_allclose(em_weights(np.repeat(RANDOM[:1], 3, axis=0)), 1 / 3, rtol=1e-12)


def test_a_model_that_is_worse_at_every_token_ends_without_weight():
    assert em_weights(np.stack([RANDOM[0], RANDOM[0] - 0.5]))[1] < 1e-7


def test_impossible_tokens():
    """-inf for one model: the other must have weight; for all: the token is left out."""
    one = np.array([[-1.0, -1.0, -INF, -INF], [-2.0, -2.0, -2.0, -INF]])
    weights = em_weights(one)
    np.testing.assert_allclose(weights, em_weights(one[:, :3]))
    w = np.linspace(0, 1, 100_001)[1:-1]
    best = w[np.argmax(2 * np.log(w * np.exp(-1) + (1 - w) * np.exp(-2)) + np.log(1 - w))]
    assert weights[0] == pytest.approx(best, abs=1e-3)
    np.testing.assert_array_equal(em_weights(np.full((2, 3), -INF)), [0.5, 0.5])
    np.testing.assert_array_equal(em_weights(np.array([[-1.0, -1.0], [-INF, -INF]])), [1, 0])


def test_tiny_probabilities_do_not_underflow():
    np.testing.assert_allclose(em_weights(RANDOM - 2000), em_weights(RANDOM), rtol=1e-9)


@pytest.mark.parametrize(
    "log_probs, message",
    [
        (np.zeros((2, 0)), r"got \(2, 0\)"),
        (np.zeros(3), r"got \(3,\)"),
        (np.array([[0.0, np.nan]]), "got NaN"),
    ],
)
def test_bad_requests(log_probs, message):
    with pytest.raises(UserError, match=message):
        em_weights(log_probs)


# Text in which words come in bursts: what was said lately is said again.
def bursts(lines, seed):
    generator = np.random.default_rng(seed)
    parts = [[*generator.choice(generator.choice(np.arange(1, V), 2), 5), EOL] for _ in range(lines)]
    return np.concatenate(parts).astype(np.int32)


TRAIN, VALID = bursts(100, 1), bursts(40, 2)
LM = recurrent_lm(V, rnn(3, 4))
LM_PARAMS = jax.tree.map(
    lambda s: jnp.asarray(rng.normal(size=s.shape), s.dtype), jax.eval_shape(LM.init, jax.random.key(0))
)


def test_a_fitted_mixture_is_better_than_its_parts_and_no_grid_finds_better():
    bigram, cache = ngram_lm(2, V, EOL), unigram_cache(V, 5, pseudo_count=1.0)
    parts = [estimate(TRAIN, 2, V, EOL).params, cache.init(jax.random.key(0))]
    model, params = fit_mixture([bigram, cache], parts, VALID, EOL, eval_streams=2)
    mixed = likelihood(model, params, VALID, EOL, eval_streams=2).log_prob
    columns = [token_log_probs(*part, VALID, EOL, eval_streams=2) for part in zip((bigram, cache), parts, strict=True)]
    columns = np.stack(columns).astype(np.float64)
    assert mixed > columns.sum(1).max() + 1
    grid = [log_likelihood([w, 1 - w], columns) for w in np.linspace(0, 1, 1001)]
    assert mixed == pytest.approx(max(grid), abs=1e-3)
    np.testing.assert_allclose(jax.nn.softmax(params.log_weights), em_weights(columns), rtol=1e-4)


def test_in_one_line_from_the_front_door():
    """n-gram counts as numpy arrays, a recurrent model with a cache, one text: one call."""
    kn, cached = ngram_lm(2, V, EOL), continuous_cache(LM, 8)
    parts = [estimate(TRAIN, 2, V, EOL).params, continuous_cache_params(LM_PARAMS)]
    model, params = lm_jax.inference.fit_mixture([kn, cached], parts, VALID, EOL)
    mixed = likelihood(model, params, VALID, EOL).log_prob
    assert all(mixed > likelihood(*part, VALID, EOL).log_prob for part in zip((kn, cached), parts, strict=True))


def test_text_line_by_line_is_read_so_for_the_weights_too():
    """At a line's start a cache that is reset knows nothing: it deserves less."""
    bigram, cache = ngram_lm(2, V, EOL), unigram_cache(V, 5, pseudo_count=1.0)
    parts = [estimate(TRAIN, 2, V, EOL).params, cache.init(jax.random.key(0))]
    _, params = fit_mixture([bigram, cache], parts, VALID, EOL, mode="sentence")
    columns = [token_log_probs(*part, VALID, EOL, mode="sentence") for part in zip((bigram, cache), parts, strict=True)]
    np.testing.assert_allclose(jax.nn.softmax(params.log_weights), em_weights(np.stack(columns)), rtol=1e-4)


def test_a_fitted_cache_is_the_best_of_a_grid_over_both():
    thetas = (-0.5, 0.0, 0.5, 1.0)
    model, params = fit_cache(LM, LM_PARAMS, VALID, EOL, size=10, thetas=thetas, eval_streams=2)
    fitted = likelihood(model, params, VALID, EOL, eval_streams=2).log_prob
    grid = {
        (theta, weight): likelihood(
            model, continuous_cache_params(LM_PARAMS, theta, weight), VALID, EOL, eval_streams=2
        ).log_prob
        for theta in thetas
        for weight in np.linspace(0, 0.98, 50)
    }
    (theta, weight), best = max(grid.items(), key=lambda item: item[1])
    assert float(params.theta) == theta
    assert float(jax.nn.sigmoid(params.logit_weight)) == pytest.approx(weight, abs=0.02)
    assert best - 1e-3 <= fitted < best + 0.1
    assert fitted > likelihood(LM, LM_PARAMS, VALID, EOL, eval_streams=2).log_prob + 1


def test_a_cache_needs_a_grid():
    with pytest.raises(UserError, match="at least one theta"):
        fit_cache(LM, LM_PARAMS, VALID, EOL, thetas=())
