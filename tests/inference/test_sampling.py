"""Sampling against known probabilities: chi-square with a fixed seed, the tail of a large vocabulary included.

With fixed seeds the statistics are numbers; 5 standard deviations of chi-square leave room for another generator
of random bits, and the faults that a test names lie far beyond.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.inference import Sampler, draw, sampling


LARGE_V = 33_278
LIMIT = 5.0


@pytest.fixture(scope="module")
def zipf():
    """Probabilities 1/rank of a large vocabulary: the lower half has 6 % of the mass, its members 3e-6 each."""
    weights = 1 / np.arange(1, LARGE_V + 1)
    return weights / weights.sum()


@jax.jit
def draws(weights, keys):
    """As many indices as there are keys, 512 at a time."""
    return jax.lax.map(lambda key: draw(key, weights), keys, batch_size=512)


def draw_rows(weights, number):
    """As many indices in one call, a row each."""
    return jax.jit(draw)(jax.random.key(0), jnp.broadcast_to(jnp.asarray(weights, jnp.float32), (number, len(weights))))


def chi_square_deviation(counts, expected):
    """The chi-square statistic in standard deviations from its mean; no bin is small."""
    assert expected.min() > 10
    degrees = len(counts) - 1
    return (np.sum((counts - expected) ** 2 / expected) - degrees) / math.sqrt(2 * degrees)


def counts_of(sample, size):
    return np.bincount(np.asarray(sample), minlength=size)


@pytest.mark.parametrize("size", [7, 257, *(pytest.param(size, marks=pytest.mark.slow) for size in (2, 256, 700))])
def test_small_vocabularies(size):
    """Around a block of 256 too; unnormalised weights, and some of them zero."""
    weights = np.random.default_rng(size).random(size).astype(np.float32) * 3 + 0.5
    weights[1::5] = 0
    counts = counts_of(draw_rows(weights, 30_000), size)
    assert len(counts) == size and counts[weights == 0].sum() == 0
    positive = weights > 0
    if positive.sum() > 1:
        expected = 30_000 * weights[positive] / weights.sum()
        assert abs(chi_square_deviation(counts[positive], expected)) < LIMIT


def test_a_large_vocabulary_and_its_tail(zipf):
    number = 100_000
    sample = draws(jnp.asarray(zipf, jnp.float32), jax.random.split(jax.random.key(0), number))
    counts = counts_of(sample, LARGE_V)
    assert len(counts) == LARGE_V
    head = number * zipf > 40
    assert abs(chi_square_deviation(counts[head], number * zipf[head])) < LIMIT
    # the tail, about half of the mass, in groups: of neighbours, by block, by position inside a block, and across
    ranks = np.flatnonzero(~head)
    for group in (ranks // 100, ranks // 256, ranks % 256, ranks % 7):
        expected = np.bincount(group, weights=number * zipf[ranks])
        observed = np.bincount(group, weights=counts[ranks])
        large = expected > 20
        assert abs(chi_square_deviation(observed[large], expected[large])) < LIMIT
    tail = number * zipf[~head].sum()
    assert abs(counts[~head].sum() - tail) < LIMIT * math.sqrt(tail)


def test_tokens_of_very_small_probability():
    """Added to a sum near 1, a float32 of 2e-8 is lost: one cumulative sum over all would never draw any of them."""
    weights = np.full(LARGE_V, 2e-8)
    weights[0] = 1 - 2e-8 * (LARGE_V - 1)
    number = 100_000
    sample = np.asarray(draws(jnp.asarray(weights, jnp.float32), jax.random.split(jax.random.key(0), number)))
    expected = number * (1 - weights[0])  # 67
    assert abs(np.sum(sample > 0) - expected) < LIMIT * math.sqrt(expected)
    # without the first token all others are equally likely
    weights[0] = 0
    sample = np.asarray(draws(jnp.asarray(weights, jnp.float32), jax.random.split(jax.random.key(1), number)))
    assert sample.min() >= 1
    for by in (lambda index: index // 101, lambda index: index % 256):
        members = np.bincount(by(np.arange(LARGE_V - 1)))
        expected = number * members / (LARGE_V - 1)
        assert abs(chi_square_deviation(counts_of(by(sample - 1), len(members)), expected)) < LIMIT


def test_rows_are_drawn_independently():
    weights = jnp.ones((30_000, 2, 2))
    sample = np.asarray(jax.jit(draw)(jax.random.key(0), weights)).reshape(-1, 2)
    assert sample.shape == (30_000, 2)
    counts = counts_of(sample[:, 0] * 2 + sample[:, 1], 4)
    assert abs(chi_square_deviation(counts, np.full(4, 7500.0))) < LIMIT


CRAFTED = {
    "zero at the end": [0.3, 0.7, 0.0],
    "zero at both ends": [0.0, 0.3, 0.7, 0.0, 0.0],
    "one": [1.0],
    "one among zeros": [0.0, 0.0, 1e-30, 0.0],
    "rounded sums": [0.1] * 300,
    "long tail": [1.0] + [1e-9] * 700 + [0.0] * 100,
    "huge": [1e30, 0.0, 1e30, 0.0],
}


@pytest.mark.parametrize("u", [0.0, 1e-7, 0.5, 1 - 2**-24, 1.0], ids=str)
@pytest.mark.parametrize("weights", CRAFTED.values(), ids=CRAFTED)
def test_no_uniform_leads_outside_or_to_a_weight_of_zero(weights, u, monkeypatch):
    """The largest float32 below 1 and, to be safe, 1 itself; 1 - 2^-24 times a sum may round to the sum."""
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape=(), dtype=jnp.float32: jnp.full(shape, u, dtype))
    index = int(draw(jax.random.key(0), jnp.asarray(weights, jnp.float32)))
    assert 0 <= index < len(weights) and weights[index] > 0
    positive = np.flatnonzero(weights)
    if u == 0.0:
        assert index == positive[0]
    if u == 1.0:
        assert index == positive[-1]


@pytest.mark.parametrize("size", [3, 300])
def test_weights_that_are_no_numbers_still_lead_to_a_token(size):
    assert 0 <= int(draw(jax.random.key(0), jnp.full(size, jnp.nan))) < size


def test_a_uniform_is_inverted_exactly(monkeypatch):
    weights = jnp.asarray([0.25, 0.0, 0.5, 0.25])
    for u, expected in ((0.0, 0), (0.2499, 0), (0.25, 2), (0.7499, 2), (0.75, 3), (0.9999, 3)):
        monkeypatch.setattr(jax.random, "uniform", lambda key, shape=(), dtype=None, u=u: jnp.full(shape, u, dtype))
        assert int(sampling._invert(jax.random.key(0), weights)) == expected


# --- the sampler -------------------------------------------------------------------------------------------------

PROBS = np.array([0.05, 0.4, 0.1, 0.25, 0.2])


def frequencies(sampler, logits, number=10_000):
    """How often each token is drawn."""
    rows = jnp.broadcast_to(jnp.asarray(logits, jnp.float32), (number, len(logits)))
    return counts_of(jax.jit(lambda key, rows: sampler(key, rows))(jax.random.key(0), rows), len(logits))


def assert_drawn_with(counts, probs):
    positive = probs > 0
    np.testing.assert_array_equal(counts > 0, positive)
    if positive.sum() > 1:
        expected = counts.sum() * probs[positive] / probs.sum()
        assert abs(chi_square_deviation(counts[positive], expected)) < LIMIT


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_is_a_power_of_the_probabilities(temperature):
    assert_drawn_with(frequencies(Sampler(temperature=temperature), np.log(PROBS)), PROBS ** (1 / temperature))


@pytest.mark.parametrize(
    ("temperature", "expected"), [(1e-4, [0, 1, 0, 0, 0]), (1e6, [1, 1, 1, 1, 1])], ids=["cold", "hot"]
)
def test_limits_of_temperature(temperature, expected):
    assert_drawn_with(frequencies(Sampler(temperature=temperature), np.log(PROBS)), np.array(expected, float))


@pytest.mark.parametrize("top_k", [1, 2, 3, 5, 100])
def test_top_k_keeps_the_k_most_likely(top_k):
    kept = np.isin(np.arange(5), np.argsort(-PROBS)[:top_k])
    assert_drawn_with(frequencies(Sampler(top_k=top_k), np.log(PROBS)), np.where(kept, PROBS, 0))


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_top_k_keeps_exactly_k_of_equals(top_k):
    assert np.sum(frequencies(Sampler(top_k=top_k), np.zeros(6)) > 0) == top_k


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(1e-6, [1]), (0.39, [1]), (0.41, [1, 3]), (0.64, [1, 3]), (0.66, [1, 3, 4]), (0.96, [0, 1, 2, 3, 4])],
    ids=str,
)
def test_top_p_keeps_the_smallest_set_that_reaches_p(top_p, kept):
    expected = np.where(np.isin(np.arange(5), kept), PROBS, 0)
    assert_drawn_with(frequencies(Sampler(top_p=top_p), np.log(PROBS)), expected)


def test_top_p_of_one_keeps_all():
    assert_drawn_with(frequencies(Sampler(top_p=1.0), np.log(PROBS)), PROBS)


def test_top_p_acts_on_what_temperature_and_top_k_leave():
    # at temperature 0.5 probabilities are squared; of the three largest, .16 .0625 .04, the first two have 85 %
    counts = frequencies(Sampler(temperature=0.5, top_k=3, top_p=0.8), np.log(PROBS))
    assert_drawn_with(counts, np.array([0, 0.16, 0, 0.0625, 0]))


def test_greedy_takes_the_first_of_the_most_likely():
    sampler = Sampler(greedy=True, temperature=7.0)
    logits = jnp.asarray([[0.0, 2.0, 2.0], [3.0, 1.0, 3.0], [-1.0, -2.0, -0.5]])
    tokens = sampler(jax.random.key(0), logits)
    assert tokens.tolist() == [1, 0, 2] and tokens.dtype == jnp.int32


@pytest.mark.parametrize("settings", [{}, {"top_k": 2}, {"top_p": 0.9}, {"greedy": True}], ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)], ids=str)
def test_one_token_for_each_row(settings, shape):
    tokens = jax.eval_shape(Sampler(**settings), jax.random.key(0), jnp.zeros((*shape, 5)))
    assert tokens.shape == shape and tokens.dtype == jnp.int32


BAD = [("temperature", v) for v in (0, 0.0, -1.0, float("inf"), float("nan"))]
BAD += [("top_k", 0), ("top_k", -3), ("top_p", 0.0), ("top_p", -0.1), ("top_p", 1.01), ("top_p", float("nan"))]


@pytest.mark.parametrize(("name", "value"), BAD, ids=str)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(UserError, match=f"{name} must be .* got {value!r}"):
        Sampler(**{name: value})
