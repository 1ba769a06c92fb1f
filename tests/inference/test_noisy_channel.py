"""The log-linear model of the noisy channel: its formula, its ties, and tuning beside brute force in plain Python."""

import itertools
import math

import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.inference.noisy_channel import (
    GRID,
    Candidate,
    Grid,
    Weights,
    choose,
    combine,
    features,
    language_model_scores,
    stack,
    tune,
)
from tests.inference.toys import table_model


DIRECT = Weights(1.0, 0.0, 0.0, 0.0)
LISTS = 7


def drawn_lists(seed=0):
    """Lists of one to four candidates, best first by the direct search, with one quality each, a sum is the measure."""
    generator = np.random.default_rng(seed)
    lists, qualities = [], []
    for k in range(LISTS):
        size = k % 4 + 1
        length = generator.integers(1, 9, size)
        direct, reverse, language_model = generator.normal(-8, 4, (3, size))
        order = np.argsort(-direct / length)
        lists.append(
            [
                Candidate(f"{j}", direct[j] / length[j], direct[j], reverse[j], language_model[j], int(length[j]), 0, 0)
                for j in order
            ]
        )
        qualities.append(generator.random(size))
    return lists, qualities


def by_formula(one, weights):
    """The score of a candidate as the module states it, with alpha = 1."""
    w_1, w_2, w_3, w_4 = weights
    return (w_1 * one.direct + w_2 * one.reverse + w_3 * one.language_model) / one.length + w_4 * one.length


def brute_force(lists, qualities, grid):
    """(largest sum of qualities, the first weights that give it), by loops over plain numbers."""
    found = []
    for weights in itertools.product(*grid):
        total = 0.0
        for candidates, quality in zip(lists, qualities, strict=True):
            scores = [by_formula(one, weights) for one in candidates]
            total += quality[scores.index(max(scores))]
        found.append((total, weights))
    best = max(total for total, _ in found)
    return best, next(weights for total, weights in found if math.isclose(total, best, rel_tol=1e-12))


def test_scores_are_those_of_the_formula():
    lists, _ = drawn_lists()
    weights = Weights(0.7, -0.4, 1.3, 0.2)
    for candidates in lists:
        expected = [by_formula(one, weights) for one in candidates]
        np.testing.assert_allclose(combine(features(candidates, 1.0), weights), expected, rtol=1e-12)
    one = lists[3][0]
    plain = (0.7 * one.search_score - 0.4 * one.reverse + 1.3 * one.language_model) + 0.2 * one.length
    np.testing.assert_allclose(combine(features([one], 0.0), weights), [plain], rtol=1e-12)


def test_the_weight_of_the_direct_model_alone_keeps_its_order():
    lists, _ = drawn_lists()
    for candidates in lists:
        scores = combine(features(candidates, 1.0), DIRECT)
        assert scores.tolist() == [one.search_score for one in candidates] == sorted(scores, reverse=True)
    values = stack([features(one, 1.0) for one in lists])
    assert values.shape == (LISTS, 4, 4) and not choose(values, DIRECT).any()


def test_of_equals_the_first_is_chosen_and_a_weight_of_0_is_nothing():
    values = np.array([[[-1.0, -np.inf, -2.0, 3.0], [-1.0, -5.0, -2.0, 3.0]]])
    assert combine(values, Weights(1.0, 0.0, 0.5, 0.1)).tolist() == [[-1.7, -1.7]]
    assert choose(values, Weights(1.0, 0.0, 0.5, 0.1)).tolist() == [0]
    assert choose(values, Weights(0.0, 1.0, 0.0, 0.0)).tolist() == [1]


SMALL = Grid((1.0,), (0.0, 0.3, 1.0, 2.0), (0.0, 0.2, 1.0), (0.0, 0.1, -0.1, 0.5))
CHANNEL = Grid((0.0,), (1.0,), (0.0, 0.5, 1.0, 2.0), (0.0, -0.2, 0.2))


@pytest.mark.parametrize("grid", [SMALL, CHANNEL])
@pytest.mark.parametrize("seed", range(5))
def test_tuned_weights_are_those_of_brute_force(grid, seed):
    lists, qualities = drawn_lists(seed)
    values = stack([features(one, 1.0) for one in lists])
    statistics = stack([quality[:, None] for quality in qualities])
    found = tune(values, statistics, lambda sums: float(sums[0]), grid)
    value, weights = brute_force(lists, qualities, grid)
    assert found.value == pytest.approx(value, rel=1e-12) and found.weights == weights


def test_tuning_is_never_worse_than_the_direct_search_and_stays_there_if_it_is_best():
    lists, qualities = drawn_lists()
    values = stack([features(one, 1.0) for one in lists])
    found = tune(values, stack([quality[:, None] for quality in qualities]), lambda sums: float(sums[0]))
    assert found.value >= sum(quality[0] for quality in qualities)
    first = stack([np.arange(len(one), 0.0, -1)[:, None] for one in lists])  # the best are those of the direct search
    assert tune(values, first, lambda sums: float(sums[0])).weights == DIRECT
    assert Weights._make(column[0] for column in GRID) == DIRECT


def test_weights_that_rank_nothing_are_refused():
    Weights().check()
    for wrong in (Weights(0.0, 0.0, 0.0, 0.0), Weights(float("nan")), Weights(1.0, float("inf"))):
        with pytest.raises(UserError, match="weights must be finite numbers, not all 0"):
            wrong.check()
    with pytest.raises(UserError, match="a grid needs a value"):
        tune(np.zeros((1, 1, 4)), np.zeros((1, 1, 1)), float, Grid(direct=()))


def test_a_sentence_has_the_probability_of_its_tokens_one_by_one():
    """Of a bigram table, which begins at the end-of-line token; in float64."""
    vocabulary = Vocabulary("word", ("</s>", "<unk>", "a", "b", "c"))
    logits = np.random.default_rng(0).normal(size=(5, 5))
    model, params = table_model(logits)
    table = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    found = language_model_scores(model, params, vocabulary, ["a b nowhere", "", "c", "nowhere a nowhere"])
    assert found.unknown.tolist() == [1, 0, 0, 2]
    for log_prob, ids in zip(found.log_probs, ([2, 3, 1, 0], [0], [4, 0], [1, 2, 1, 0]), strict=True):
        total = sum(table[last, token] for last, token in itertools.pairwise([0, *ids]))
        assert log_prob == pytest.approx(total, abs=1e-5)
    assert len(language_model_scores(model, params, vocabulary, []).log_probs) == 0
