"""Connectionist temporal classification against all paths, one by one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.errors import UserError
from lm_jax.models.ctc import best_path, ctc_loss, needed_steps
from lm_jax.models.ctc_search import prefix_beam_search
from tests.oracles.ctc import collapse, every_string


LOSS = jax.jit(ctc_loss, static_argnames="blank_id")
GENERATOR = np.random.default_rng(0)
STEPS, CLASSES = 6, 4
LENGTHS = np.array([6, 6, 5, 6, 4, 6, 3, 2, 1])
STRINGS = [(1, 2, 3), (2, 2, 2), (1, 1), (3, 1, 1), (1, 1, 3), (), (1, 1), (2, 3), ()]
LOGITS = GENERATOR.normal(scale=2, size=(STEPS, len(STRINGS), CLASSES)).astype(np.float32)
MASK = np.arange(STEPS)[:, None] < LENGTHS


def as_columns(strings, length=3, padding=0):
    """Labels [L, B] and their mask."""
    mask = np.arange(length)[:, None] < [len(string) for string in strings]
    rows = [[*string, *[padding] * (length - len(string))] for string in strings]
    return np.array(rows, np.int32).T, mask


LABELS, LABEL_MASK = as_columns(STRINGS)


def test_the_loss_is_that_of_all_paths():
    losses = LOSS(LOGITS, LABELS, mask=MASK, label_mask=LABEL_MASK)
    expected = [
        -np.log(every_string(LOGITS[:length, row])[string])
        for row, (length, string) in enumerate(zip(LENGTHS, STRINGS, strict=True))
    ]
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-5)


def test_another_class_may_be_the_blank():
    string = (0, 0, 1)
    loss = LOSS(LOGITS[:, :1], as_columns([string])[0], blank_id=3)
    assert float(loss[0]) == pytest.approx(-np.log(every_string(LOGITS[:, 0], blank=3)[string]), abs=1e-5)


def test_all_strings_sum_to_one():
    strings = list(every_string(LOGITS[:4, 0]))
    labels, mask = as_columns(strings, 4)
    losses = LOSS(np.repeat(LOGITS[:4, :1], len(strings), axis=1), labels, label_mask=mask)
    assert float(jnp.sum(jnp.exp(-losses))) == pytest.approx(1, abs=1e-5)


def test_padding_changes_nothing():
    def loss(logits, labels, mask, label_mask):
        return jnp.sum(ctc_loss(logits, labels, mask=mask, label_mask=label_mask))

    value = jax.jit(jax.value_and_grad(loss))
    before, gradient = value(LOGITS, LABELS, MASK, LABEL_MASK)
    spoilt = np.where(MASK[..., None], LOGITS, np.float32(np.nan))
    longer = np.concatenate([spoilt, np.full((3, *LOGITS.shape[1:]), np.nan, np.float32)])
    mask = np.concatenate([MASK, np.zeros((3, len(STRINGS)), bool)])
    labels, label_mask = as_columns(STRINGS, 5, padding=1)
    after, other = value(longer, labels, mask, label_mask)
    assert float(after) == pytest.approx(float(before), rel=1e-6)
    np.testing.assert_allclose(other[:STEPS], gradient, rtol=0, atol=1e-6)
    assert not np.any(np.asarray(other)[~mask]) and np.any(gradient)


def test_a_string_that_does_not_fit_has_an_infinite_loss_without_gradient():
    """(2, 2) needs three steps, (1, 2, 3) three."""
    labels, label_mask = as_columns([(2, 2), (1, 2, 3), (2, 3)])
    assert needed_steps(labels, label_mask).tolist() == [3, 3, 2]

    def loss(logits):
        losses = ctc_loss(logits, labels, label_mask=label_mask)
        return jnp.sum(losses), losses

    (_, losses), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(LOGITS[:2, :3])
    assert np.isinf(losses[:2]).all() and np.isfinite(losses[2])
    assert not np.any(gradient[:, :2]) and np.isfinite(gradient).all() and np.any(gradient[:, 2])
    exact, _ = jax.jit(jax.value_and_grad(loss, has_aux=True))(LOGITS[:3, :3])
    assert np.isfinite(exact[1]).all()


def test_the_best_path_is_collapsed():
    paths = [(1, 1, 0, 1, 2, 2), (0, 0, 0, 0, 0, 0), (3, 2, 2, 3, 0, 3), (1, 0, 1, 1, 1, 1)]
    logits = np.eye(CLASSES, dtype=np.float32)[np.array(paths).T]
    mask = np.arange(6)[:, None] < [6, 6, 6, 2]
    strings, lengths = jax.jit(best_path)(logits, mask)
    found = [tuple(strings[:n, row].tolist()) for row, n in enumerate(lengths.tolist())]
    assert found == [collapse(path[:n]) for path, n in zip(paths, (6, 6, 6, 2), strict=True)]
    assert found[0] == (1, 1, 2) and not np.any(np.asarray(strings)[np.arange(6)[:, None] >= lengths])


@pytest.mark.parametrize("blank_id", [0, 2])
def test_a_search_of_full_width_is_exhaustive(blank_id):
    logits, lengths = LOGITS[:5, :3, :3].copy(), np.array([5, 3, 0])
    logits[1, 0, 1] = logits[2, 0, 0] = logits[3, 0, 2] = -np.inf  # steps at which a class is impossible
    mask = np.arange(5)[:, None] < lengths
    width = len(every_string(logits[:, 0], blank_id)) + 2
    found = jax.jit(partial(prefix_beam_search, beam_size=width, blank_id=blank_id))(logits, mask)
    for row, length in enumerate(lengths):
        strings = {string: p for string, p in every_string(logits[:length, row], blank_id).items() if p}
        expected = sorted(strings.items(), key=lambda item: -item[1])
        for k, (string, probability) in enumerate(expected):
            assert tuple(found.labels[k, : found.lengths[k, row], row].tolist()) == string
            assert float(found.log_probs[k, row]) == pytest.approx(np.log(probability), abs=1e-4)
        assert np.all(np.isneginf(found.log_probs[len(expected) :, row]))


def test_the_best_string_may_differ_from_the_best_path():
    """Blank twice is the best path, with 0.36; the paths of the label have 0.64 together (Graves 2006, section 3.2)."""
    logits = np.log(np.full((2, 1, 2), [0.6, 0.4], np.float32))
    found = jax.jit(partial(prefix_beam_search, beam_size=2))(logits)
    assert best_path(logits)[1].tolist() == [0]
    assert found.lengths[:, 0].tolist() == [1, 0] and found.labels[0, 0, 0] == 1
    np.testing.assert_allclose(np.exp(found.log_probs[:, 0]), [0.64, 0.36], rtol=1e-5)


def test_a_narrow_search_counts_no_path_twice():
    """Its probabilities are at most those of all paths, and its strings differ."""
    logits = GENERATOR.normal(size=(6, 4, 3)).astype(np.float32)
    found = jax.jit(partial(prefix_beam_search, beam_size=4, most_labels=3))(logits)
    for row in range(4):
        exact = every_string(logits[:, row])
        strings = [tuple(found.labels[k, : found.lengths[k, row], row].tolist()) for k in range(4)]
        assert len(set(strings)) == 4 and max(map(len, strings)) <= 3
        for string, log_prob in zip(strings, found.log_probs[:, row].tolist(), strict=True):
            assert log_prob <= np.log(exact[string]) + 1e-5


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match=r"must be bool \(6, 9\) .*got bool \(9, 6\)"):
        ctc_loss(LOGITS, LABELS, mask=MASK.T)
    with pytest.raises(UserError, match=r"must be bool \(3, 9\) .*got float32"):
        ctc_loss(LOGITS, LABELS, label_mask=LABEL_MASK.astype(np.float32))
    with pytest.raises(UserError, match="beam_size must be a whole number of at least 1, got 0"):
        prefix_beam_search(LOGITS, beam_size=0)
