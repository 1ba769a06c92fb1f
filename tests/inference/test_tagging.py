"""Tags of many sentences are those of each alone, whatever batches they are in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import rnn
from lm_jax.data.tag_vocabulary import EncodedSentences
from lm_jax.encoders import bidirectional
from lm_jax.inference import tagging
from lm_jax.inference.tagging import best_tags, score_tags
from lm_jax.models.tag_outputs import tag_output
from lm_jax.models.tagger import TaggerInputs, tagger


LENGTHS = np.array([3, 9, 1, 8, 2])


@pytest.fixture(scope="module")
def case():
    """(tagger, parameters, sentences)."""
    model = tagger(bidirectional(rnn(4, 3), rnn(4, 3)), tag_output("crf", ("O", "B-x", "I-x")), (0, 1, 2, 3))
    generator, count = np.random.default_rng(0), LENGTHS.sum()
    characters = np.zeros((count, 2), np.int32)
    words, tags = generator.integers(0, 4, count), generator.integers(0, 2, count)
    sentences = EncodedSentences(words, characters, words == 0, tags, LENGTHS)
    return model, model.init(jax.random.key(1)), sentences


def alone(case, number):
    """Inputs [T] and tags of one sentence."""
    _, _, sentences = case
    here = slice(sentences.starts[number], sentences.starts[number] + LENGTHS[number])
    return here, TaggerInputs(sentences.words[here], sentences.characters[here]), sentences.tags[here]


def test_every_sentence_is_scored_as_if_alone(case, monkeypatch):
    """Though batches are of two."""
    model, params, sentences = case
    monkeypatch.setattr(tagging, "ROWS", 2)
    heard = []
    scores = score_tags(model, params, sentences, lambda *done: heard.append(done))
    strings = best_tags(model, params, sentences, 3)
    assert heard[-1] == (3, 3) and len(strings) == len(LENGTHS)

    @jax.jit
    def of_one(inputs, tags):
        best = model.n_best(params, inputs, 3)
        marginals = model.marginals(params, inputs)
        first = jnp.take_along_axis(marginals, best.labels[0][:, None], axis=-1)[:, 0]
        return model.log_prob(params, inputs, tags), best, first

    for number in (1, 2):
        here, inputs, tags = alone(case, number)
        log_prob, best, probabilities = jax.tree.map(np.asarray, of_one(inputs, tags))
        real = best.scores > -np.inf
        np.testing.assert_allclose(scores.log_probs[number], log_prob, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(scores.tags[here], best.labels[0])
        np.testing.assert_array_equal(strings[number].tags, best.labels[real])
        np.testing.assert_allclose(strings[number].log_probs, best.scores[real], rtol=0, atol=1e-5)
        np.testing.assert_allclose(strings[number].probabilities, probabilities, rtol=0, atol=1e-5)
    assert len(strings[2].tags) == 2  # of one word two tags are legal


def test_no_sentence_has_no_tags(case):
    model, params, sentences = case
    nothing = EncodedSentences(*(part[:0] for part in sentences))
    assert best_tags(model, params, nothing) == [] and len(score_tags(model, params, nothing).tags) == 0
