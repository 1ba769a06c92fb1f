"""The conditional random field: every algorithm equals the sum or the best over all strings of labels."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.data.spans import LegalTransitions, illegal_step, legal_transitions
from lm_jax.errors import UserError
from lm_jax.models import crf
from tests.oracles import strings


LENGTHS = (6, 0, 3, 1, 5)
T, B = 6, len(LENGTHS)
MASK = np.arange(T)[:, None] < np.array(LENGTHS)
K = 3
SOME = LegalTransitions(
    np.array([1, 0, 1, 1], bool),
    np.array([[1, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0]], bool),
    np.array([1, 1, 0, 1], bool),
)
FEW = LegalTransitions(np.array([1, 0, 0, 0], bool), np.eye(4, dtype=bool), np.array([1, 1, 1, 1], bool))
CASES = {"two labels": (2, None), "four labels": (4, None), "forbidden": (4, SOME), "one string": (4, FEW)}


def draw(labels, dtype=np.float64, seed=0):
    """(parameters, scores [T, B, C], labels [T, B])."""
    generator = np.random.default_rng(seed)
    arrays = [generator.normal(size=shape).astype(dtype) for shape in ((labels,), (labels, labels), (labels,))]
    return crf.CRFParams(*arrays), generator.normal(size=(T, B, labels)).astype(dtype) * 2


def spoilt(scores):
    """NaN at padding, which nothing may read."""
    return np.where(MASK[..., None], scores, np.nan)


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """(legal, float64 results, the strings of each row with their scores), compiled once for all tests of a case."""
    labels, legal = CASES[request.param]
    params, scores = draw(labels)

    @jax.jit
    def everything(params, scores):
        field = crf.constrain(params, legal)
        d_params, d_scores = jax.grad(
            lambda p, s: jnp.sum(crf.log_partition(crf.constrain(p, legal), s, MASK)), argnums=(0, 1)
        )(params, scores)
        return {
            "log_z": crf.log_partition(field, scores, MASK),
            "best": crf.n_best(field, scores, K, MASK),
            "viterbi": crf.viterbi(field, scores, MASK),
            "marginals": crf.marginals(field, scores, MASK),
            "d_params": d_params,
            "d_scores": d_scores,
        }

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        results = jax.tree.map(np.asarray, everything(params, spoilt(scores)))
    finally:
        jax.config.update("jax_enable_x64", before)
    rows = [
        strings.every_string(params.start, params.transitions, params.end, scores[:n, b], legal)
        for b, n in enumerate(LENGTHS)
    ]
    return labels, results, rows


def test_log_z_is_the_sum_over_all_strings(case):
    _, results, rows = case
    expected = [strings.log_partition(row) for row in rows]
    np.testing.assert_allclose(results["log_z"], expected, rtol=0, atol=1e-10)
    assert results["log_z"][1] == 0.0  # of the empty row


def test_the_best_strings_are_the_best_of_all(case):
    _, results, rows = case
    best = results["best"]
    for b, (row, length) in enumerate(zip(rows, LENGTHS, strict=True)):
        expected = strings.best(row, K)
        for rank in range(K):
            if rank < len(expected):
                assert tuple(best.labels[rank, :length, b]) == expected[rank][0]
                np.testing.assert_allclose(best.scores[rank, b], expected[rank][1], rtol=0, atol=1e-10)
            else:
                assert best.scores[rank, b] == -np.inf
        assert not best.labels[:, length:, b].any()
    np.testing.assert_array_equal(results["viterbi"][0], best.labels[0])
    np.testing.assert_array_equal(results["viterbi"][1], best.scores[0])


def test_the_derivative_of_log_z_is_the_marginals(case):
    labels, results, rows = case
    for b, (row, length) in enumerate(zip(rows, LENGTHS, strict=True)):
        expected = np.zeros((T, labels))
        expected[:length] = strings.marginals(row, length, labels)
        np.testing.assert_allclose(results["d_scores"][:, b], expected, rtol=0, atol=1e-10)
        np.testing.assert_allclose(results["marginals"][:, b], expected, rtol=0, atol=1e-10)


def test_the_derivative_by_transitions_counts_them(case):
    """Forbidden ones have the derivative zero, and none is infinite or no number."""
    labels, results, rows = case
    start, between, end = np.zeros(labels), np.zeros((labels, labels)), np.zeros(labels)
    for row in rows:
        total = strings.log_partition(row)
        for string, score in row.items():
            probability = np.exp(score - total)
            for pair in itertools.pairwise(string):
                between[pair] += probability
            if string:
                start[string[0]] += probability
                end[string[-1]] += probability
    for actual, expected in zip(jax.tree.leaves(results["d_params"]), (start, between, end), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10)


def test_the_score_of_every_string_and_their_probabilities(x64):
    params, scores = draw(3)
    rows = strings.every_string(params.start, params.transitions, params.end, scores[:3, 0])
    every = np.array(list(rows)).T  # [T, N]
    many = np.repeat(scores[:3, :1], len(rows), axis=1)
    expected = list(rows.values())
    score = jax.jit(crf.path_score)
    np.testing.assert_allclose(score(params, many, every), expected, rtol=0, atol=1e-12)
    assert abs(np.exp(jax.jit(crf.log_prob)(params, many, every)).sum() - 1) < 1e-12
    spoilt_labels = np.concatenate([every, np.full((3, len(rows)), 7)])
    padded = np.concatenate([many, np.full_like(many, np.nan)])
    mask = np.repeat(np.arange(6)[:, None] < 3, len(rows), axis=1)
    np.testing.assert_allclose(score(params, padded, spoilt_labels, mask), expected, rtol=0, atol=1e-12)
    assert not np.any(score(params, padded, spoilt_labels, np.zeros_like(mask)))


def test_training_with_forbidden_transitions_has_finite_gradients():
    """In float32, over long rows, whatever the size of the scores; of an empty row nothing comes."""
    params, scores = draw(4, np.float32)
    scores = np.concatenate([100 * scores] * 20)
    mask = np.concatenate([MASK[:1]] * 119 + [MASK[1:2]])
    labels = np.zeros(mask.shape, int)

    @jax.jit
    def gradient(params, scores):
        return jax.grad(lambda p, s: -jnp.sum(crf.log_prob(crf.constrain(p, SOME), s, labels, mask)), (0, 1))(
            params, scores
        )

    d_params, d_scores = gradient(params, scores)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((d_params, d_scores)))
    assert not np.any(np.asarray(d_params.transitions)[~SOME.between])
    assert not np.any(np.asarray(d_scores)[:, 1])


@pytest.mark.parametrize(
    "tags",
    [
        ["O", "B-x", "I-x", "B-y", "I-y"],
        ["I-x", "S-x", "B-x", "O", "E-x", "S-y"],
    ],
    ids=["BIO", "IOBES"],
)
def test_constrained_decoding_never_gives_an_illegal_sequence(tags):
    """Over many drawn scores, also ones that want nothing but illegal strings, and every one of the best strings."""
    legal = legal_transitions(tags)
    scheme = "BIO" if len(tags) == 5 else "IOBES"
    field = crf.constrain(crf.neutral_params(len(tags)), legal)
    scores = np.random.default_rng(1).normal(size=(7, 300, len(tags))).astype(np.float32) * 30
    scores[:, :100, tags.index("I-x")] += 500
    mask = np.arange(7)[:, None] < np.arange(300) % 8
    best = jax.tree.map(np.asarray, jax.jit(lambda s: crf.n_best(field, jax.nn.log_softmax(s), K, mask))(scores))
    some = 0
    for rank in range(K):
        for b in np.flatnonzero(best.scores[rank] > -np.inf):
            string = [tags[i] for i in best.labels[rank, : b % 8, b]]
            assert illegal_step(scheme, string) is None
            some += 1
    assert some > 700 and np.all(best.scores[0] > -np.inf)


def test_the_probability_of_one_label_is_its_marginal():
    """Of one step of each row, and of all steps."""
    params, scores = draw(4, np.float32)
    labels, steps = np.random.default_rng(1).integers(4, size=(T, B)), np.maximum(np.array(LENGTHS) - 2, 0)
    marginals = np.asarray(crf.marginals(params, spoilt(scores), MASK))
    expected = np.log(
        np.take_along_axis(marginals, labels[..., None], axis=-1)[..., 0], where=MASK, out=np.zeros((T, B))
    )
    np.testing.assert_allclose(crf.label_log_probs(params, spoilt(scores), labels, MASK), expected, atol=1e-5)
    found = np.asarray(crf.label_log_prob_at(params, spoilt(scores), labels, jnp.asarray(steps), MASK))
    real = MASK[0]  # a row without steps has no label
    np.testing.assert_allclose(found[real], expected[steps, np.arange(B)][real], atol=1e-5)


def test_any_batch_axes_and_no_steps():
    params, scores = draw(3, np.float32)
    n_best = jax.jit(crf.n_best, static_argnums=2)
    flat = n_best(params, scores, 2)
    grid = n_best(params, scores[:, :4].reshape(T, 2, 2, 3), 2)
    np.testing.assert_array_equal(grid.labels.reshape(2, T, 4), flat.labels[..., :4])
    alone = n_best(params, scores[:, 0], 2)
    np.testing.assert_array_equal(alone.labels, flat.labels[..., 0])
    nothing = crf.n_best(params, scores[:0], 2)
    assert nothing.labels.shape == (2, 0, B) and np.all(nothing.scores[0] == 0) and np.all(nothing.scores[1] == -np.inf)
    assert not np.any(crf.log_prob(params, scores[:0], np.zeros((0, B), int)))


def test_what_does_not_fit_is_refused():
    params, scores = draw(3, np.float32)
    with pytest.raises(UserError, match="must be of the 3 labels of the field, got 4"):
        crf.log_partition(params, np.zeros((2, 1, 4)))
    with pytest.raises(UserError, match=r"must be bool \(6, 5\) \(time, batch\), got bool \(5, 6\)"):
        crf.viterbi(params, scores, MASK.T)
    with pytest.raises(UserError, match="between the 3 labels of the field, got 4"):
        crf.constrain(params, SOME)
    with pytest.raises(UserError, match="k must be a whole number of at least 1, got 0"):
        crf.n_best(params, scores, 0)
