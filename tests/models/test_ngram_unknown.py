"""A word of the vocabulary that the training text never has: what the estimators leave it, in closed form."""

import numpy as np

from lm_jax.models.ngram import estimate
from lm_jax.models.ngram.kneser_ney import discounts_of
from lm_jax.models.ngram.score_text import text_log_probs


VOCAB, EOL, UNSEEN = 40, 0, 39


def text():
    """A few frequent words, many rare ones, and lines; word 39 is not in it."""
    rng = np.random.default_rng(3)
    shares = 1 / np.arange(1, VOCAB) ** 1.6
    return rng.choice(VOCAB - 1, 400, p=shares / shares.sum()).astype(np.int32)


def unigram(tokens, method):
    params = estimate(tokens, 1, VOCAB, EOL, method=method).params
    return np.exp(text_log_probs(params, np.array([UNSEEN], np.int32), EOL, ()).astype(np.float64))[0]


def test_kneser_ney_leaves_an_unseen_word_its_share_of_the_uniform_part():
    tokens = text()
    counts = np.bincount(tokens, minlength=VOCAB)
    discounts, _ = discounts_of(counts, modified=True)
    gamma = discounts[np.minimum(counts, 3)].sum() / counts.sum()
    unseen = int((counts == 0).sum())
    np.testing.assert_allclose(unigram(tokens, "modified-kneser-ney"), gamma / VOCAB, rtol=1e-6)
    # Katz divides all that its discounts leave among the unseen words alone: here many times as much
    assert unigram(tokens, "katz") > VOCAB / unseen / 4 * unigram(tokens, "modified-kneser-ney")


def test_a_counted_unknown_word_is_as_any_other():
    tokens = text()
    rare = np.bincount(tokens, minlength=VOCAB) == 1
    counted = np.where(rare[tokens], UNSEEN, tokens).astype(np.int32)
    share = np.mean(counted == UNSEEN)
    for method in ("modified-kneser-ney", "katz"):
        assert abs(unigram(counted, method) / share - 1) < 0.3
