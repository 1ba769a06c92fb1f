"""Classifiers: the equations, padding that changes nothing, and randomness by a key alone."""

from collections import namedtuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import gru, lstm
from lm_jax.encoders import bidirectional, stacked_encoder, unidirectional
from lm_jax.errors import UserError
from lm_jax.models.classifier import AttentionPoolParams, attention_weights, classifier, pool_attention
from lm_jax.models.naive_bayes import fit_naive_bayes, naive_bayes_log_probs


ENCODER = stacked_encoder([bidirectional(gru(3, 2), gru(3, 2)), unidirectional(lstm(4, 4))], "residual")
LENGTHS = np.array([5, 1, 3])
TOKENS = np.random.default_rng(0).integers(0, 7, (5, 3))
MASK = np.arange(5)[:, None] < LENGTHS


Case = namedtuple("Case", "pooling model params logits")


@pytest.fixture(scope="module", params=["last", pytest.param("mean", marks=pytest.mark.slow), "max", "attention"])
def case(request):
    """A classifier with every part."""
    model = classifier(7, 3, ENCODER, pooling=request.param, head_size=5, dropout_rate=0.5, word_dropout=0.5, unk_id=6)
    return Case(request.param, model, model.init(jax.random.key(1)), jax.jit(model.logits))


def test_it_is_the_composition_of_its_parts(case):
    _, _, params, logits = case
    ys = np.asarray(jax.jit(ENCODER.encode)(params.encoder, params.embedding[TOKENS], mask=MASK), np.float64)
    for row, length in enumerate(LENGTHS):
        own = ys[:length, row]
        if params.pool is not None:
            scores = np.tanh(own @ np.asarray(params.pool.w) + np.asarray(params.pool.b)) @ np.asarray(
                params.pool.query
            )
            weights = np.exp(scores) / np.exp(scores).sum()
            pooled = weights @ own
        else:
            pooled = {"last": own[-1], "mean": own.mean(0), "max": own.max(0)}[case.pooling]
        hidden = np.tanh(pooled @ np.asarray(params.head.w) + np.asarray(params.head.b))
        expected = hidden @ np.asarray(params.out.w) + np.asarray(params.out.b)
        np.testing.assert_allclose(logits(params, TOKENS, mask=MASK)[row], expected, atol=1e-6)


def test_padding_changes_no_result_and_no_gradient(case):
    _, model, params, logits = case
    padded = np.pad(TOKENS, ((0, 4), (0, 1)), constant_values=5)
    mask = np.pad(MASK, ((0, 4), (0, 1)))
    np.testing.assert_allclose(logits(params, padded, mask=mask)[:3], logits(params, TOKENS, mask=MASK), atol=1e-6)

    @jax.jit
    def gradient(tokens, mask):
        def loss(params):
            return jnp.sum(jnp.square(model.logits(params, tokens, mask=mask)[:3]))

        return jax.grad(loss)(params)

    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, atol=1e-6),
        gradient(TOKENS, MASK),
        gradient(padded, mask),
    )


def test_what_is_masked_is_not_read(case):
    _, model, params, _ = case

    def total(xs):
        return jnp.sum(model.logits_of_embedded(params, xs, mask=MASK))

    slopes = jax.jit(jax.grad(total))(model.embed(params, TOKENS))
    assert (np.asarray(slopes)[~MASK] == 0).all() and (np.abs(slopes).sum(-1)[MASK] > 0).any()


def test_only_a_key_brings_randomness(case):
    _, _, params, logits = case
    one, other = (logits(params, TOKENS, mask=MASK, key=jax.random.key(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(logits(params, TOKENS, mask=MASK), logits(params, TOKENS, mask=MASK))
    assert (np.asarray(one) != np.asarray(other)).any()


def test_attention_is_a_mean_over_the_valid_steps():
    key = jax.random.key(2)
    ys = jax.random.normal(key, (5, 3, 4)) * 50  # scores that would overflow without the largest taken off
    params = AttentionPoolParams(jnp.eye(4), jnp.zeros(4), jnp.full(4, 100.0))
    weights = np.asarray(attention_weights(params, ys, jnp.asarray(MASK)))
    np.testing.assert_allclose(weights.sum(0), 1, rtol=1e-6)
    assert (weights[~MASK] == 0).all()
    empty = jnp.zeros((5, 3), bool)
    np.testing.assert_array_equal(pool_attention(params, ys, empty), np.zeros((3, 4)))
    slopes = jax.jit(jax.grad(lambda ys: jnp.sum(pool_attention(params, ys, empty))))(ys)
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 1}, "two classes"),
        ({"pooling": "median"}, "pooling must be one of"),
        ({"word_dropout": 0.1, "unk_id": None}, "unknown token"),
        ({"head_size": 0}, "head_size"),
        ({"dropout_rate": 1.0}, "dropout_rate"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        classifier(**{"vocab_size": 7, "classes": 3, "encoder": ENCODER, **changes})


def test_naive_bayes_by_hand():
    """Two texts of a class: P(f | c) = (texts of c with f + 1) / (all such + features)."""
    texts = [np.array([0, 1]), np.array([0]), np.array([1])]
    model = fit_naive_bayes(texts, np.array([0, 0, 1]), 2)
    counts = {0: {0: 2, 1: 1, (0, 1): 1}, 1: {1: 1}}  # features: 0, 1, (0, 1)
    found = naive_bayes_log_probs(model, [np.array([1, 0, 9])])
    scores = []
    for label, prior in ((0, 2 / 3), (1, 1 / 3)):
        total = sum(counts[label].values()) + 3
        scores.append(np.log(prior) + sum(np.log((counts[label].get(f, 0) + 1) / total) for f in (1, 0)))
    np.testing.assert_allclose(found[0], np.asarray(scores) - np.logaddexp.reduce(scores))
