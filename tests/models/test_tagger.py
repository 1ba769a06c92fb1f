"""The tagger: padding changes nothing, words are dropped in training only, and the outputs are what they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import lstm, rnn
from lm_jax.data.spans import illegal_step
from lm_jax.encoders import bidirectional
from lm_jax.errors import UserError
from lm_jax.models.tag_outputs import OUTPUTS, tag_output
from lm_jax.models.tagger import TaggerInputs, tagger
from lm_jax.models.word_readers import cnn_reader, lstm_reader
from tests.cases import assert_close
from tests.oracles import recurrences


TAGS = ("O", "B-x", "I-x")
COUNTS = (0, 5, 3, 1, 1)
LENGTHS = np.array([5, 0, 3, 1])
T, B, W = 5, 4, 4
MASK = np.arange(T)[:, None] < LENGTHS
READERS = {"lstm": lstm_reader(6, 3, 4), "cnn": cnn_reader(6, 3, 4, width=3)}


def draw_inputs(seed=0):
    """Words and characters of random length, one at least; and tags."""
    generator = np.random.default_rng(seed)
    characters = generator.integers(0, 6, size=(T, B, W))
    characters[np.arange(W) >= generator.integers(1, W + 1, size=(T, B, 1))] = -1
    words = generator.integers(0, len(COUNTS), size=(T, B))
    return TaggerInputs(words, characters), generator.integers(0, 2, size=(T, B))


def make(output="softmax", reader="cnn", **options):
    words = READERS.get(reader)
    encoder = bidirectional(rnn(7, 3), rnn(7, 3))
    return tagger(encoder, tag_output(output, TAGS), COUNTS, words, **options)


def random_params(model, seed=1):
    generator = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape) / 2, jnp.float32), shapes)


def padded(inputs, tags):
    """More padding at the end of sentences and of words, full of what must not be read."""
    words = np.concatenate([np.where(MASK, inputs.words, 4), np.full((3, B), 2)])
    characters = np.concatenate([np.where(MASK[..., None], inputs.characters, 5), np.full((3, B, W), 3)])
    characters = np.concatenate([characters, np.full((T + 3, B, 2), -1)], axis=-1)
    mask = np.concatenate([MASK, np.zeros((3, B), bool)])
    return TaggerInputs(words, characters), np.concatenate([np.where(MASK, tags, 2), np.full((3, B), 1)]), mask


@pytest.mark.parametrize(("output", "reader"), [("softmax", "lstm"), ("constrained", "none"), ("crf", "cnn")])
def test_padding_changes_no_result_and_no_gradient(output, reader):
    model = make(output, reader)
    params, (inputs, tags) = random_params(model), draw_inputs()

    @jax.jit
    def everything(inputs, tags, mask):
        def loss(params):
            log_probs = model.log_prob(params, inputs, tags, mask=mask)
            return jnp.sum(log_probs * jnp.arange(1.0, B + 1)), log_probs

        gradient, log_probs = jax.grad(loss, has_aux=True)(params)
        best = model.n_best(params, inputs, 2, mask=mask)
        return gradient, log_probs, best, model.marginals(params, inputs, mask=mask)

    gradient, log_probs, best, marginals = everything(inputs, tags, MASK)
    others = everything(*padded(inputs, tags))
    assert_close((others[0], others[1]), (gradient, log_probs), 1e-6)
    np.testing.assert_array_equal(others[2].labels[:, :T], best.labels)
    assert not others[2].labels[:, T:].any() and not best.labels[:, ~MASK].any()
    np.testing.assert_allclose(others[2].scores, best.scores, rtol=0, atol=1e-5)
    np.testing.assert_allclose(others[3][:T], marginals, rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.sum(marginals, axis=-1), MASK, rtol=0, atol=1e-5)
    assert log_probs[1] == 0 and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    # and a row is the row alone
    row = TaggerInputs(inputs.words[:3, 2], inputs.characters[:3, 2])
    alone = jax.jit(lambda p: model.log_prob(p, row, tags[:3, 2]))(params)
    np.testing.assert_allclose(alone, log_probs[2], rtol=0, atol=1e-5)


def test_the_outputs_differ_in_what_they_seek_and_not_in_their_scores():
    """softmax takes the best tag of every word; constrained the best legal string of the same probabilities."""
    inputs, tags = draw_inputs()
    models = {output: make(output) for output in OUTPUTS}
    params = random_params(models["crf"])
    plain = params.replace(output=None)
    scores = np.asarray(jax.jit(models["softmax"].scores)(plain, inputs, mask=MASK))
    found = {
        output: jax.jit(lambda p, m=model: m.n_best(p, inputs, 1, mask=MASK))(params if output == "crf" else plain)
        for output, model in models.items()
    }
    np.testing.assert_array_equal(np.asarray(found["softmax"].labels[0])[MASK], scores.argmax(-1)[MASK])
    log_probs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    expected = np.sum(np.where(MASK, log_probs.max(-1), 0), axis=0)
    np.testing.assert_allclose(found["softmax"].scores[0], expected, rtol=0, atol=1e-5)
    trained = [
        jax.jit(models[output].log_prob)(plain, inputs, tags, mask=MASK) for output in ("softmax", "constrained")
    ]
    np.testing.assert_array_equal(*trained)
    broken = 0
    for output in OUTPUTS:
        for b, length in enumerate(LENGTHS):
            names = [TAGS[i] for i in found[output].labels[0, :length, b]]
            broken += illegal_step("BIO", names) is not None
            assert output == "softmax" or illegal_step("BIO", names) is None
    assert broken  # of the softmax


def test_words_are_dropped_only_with_a_key_and_rare_ones_more_often():
    model = make(reader="none", word_dropout=0.5)
    params, inputs = random_params(model), draw_inputs()[0]
    words = np.tile(np.arange(5), (1, 400))
    many = TaggerInputs(words, np.zeros((*words.shape, 1), int))
    score = jax.jit(model.scores)
    without = np.asarray(score(params, many))
    np.testing.assert_array_equal(without, score(params, many))
    drawn = np.asarray(score(params, many, key=jax.random.key(3)))
    dropped = np.isclose(drawn, without[:, :1], atol=1e-6).all(-1)[0]
    shares = [dropped[words[0] == word].mean() for word in range(1, 5)]
    np.testing.assert_allclose(shares, 0.5 / (0.5 + np.array(COUNTS[1:])), atol=0.08)
    kept = np.isclose(drawn, without, atol=1e-6).all(-1)[0]
    assert np.all(kept | dropped)  # a sentence of one word is that word or <unk>
    never = make(reader="none", word_dropout=0.0)
    np.testing.assert_array_equal(never.scores(params, inputs, key=jax.random.key(3)), never.scores(params, inputs))


def test_words_of_one_row_share_a_vector_and_are_counted_together():
    model = make(reader="none", word_dropout=0.5, rows=(0, 1, 1, 3, 4))
    params, words = random_params(model), np.tile(np.arange(1, 3), (1, 400))
    many = TaggerInputs(words, np.zeros((*words.shape, 1), int))
    score = jax.jit(model.scores)
    without = np.asarray(score(params, many))[0]
    assert np.all(without == without[0])
    drawn = np.asarray(score(params, many, key=jax.random.key(3)))[0]
    dropped = np.any(np.abs(drawn - without) > 1e-6, axis=-1)
    np.testing.assert_allclose(dropped.mean(), 0.5 / (0.5 + COUNTS[1] + COUNTS[2]), atol=0.04)


def test_dropout_needs_a_key():
    model = make(dropout_rate=0.5, word_dropout=0.0)
    params, inputs = random_params(model), draw_inputs()[0]
    score = jax.jit(model.scores)
    draws = [np.asarray(score(params, inputs, mask=MASK, key=jax.random.key(i))) for i in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.any(draws[0] != draws[2]) and np.any(draws[0] != score(params, inputs, mask=MASK))


def double(params):
    return {name: np.asarray(value, np.float64) for name, value in vars(params).items()}


def test_a_word_is_read_as_its_characters_alone():
    """Against float64 numpy, word by word: the LSTM's last states, the filters' largest answers."""
    characters = draw_inputs()[0].characters.reshape(-1, W)
    characters[0] = -1
    for name, reader in READERS.items():
        params = random_params(reader)
        actual = np.asarray(jax.jit(reader.read)(params, characters))
        assert actual.shape == (len(characters), reader.output_size) and not actual[0].any()
        embedding = np.asarray(params.embedding, np.float64)
        for vector, word in zip(actual[1:], characters[1:], strict=True):
            xs = embedding[word[word >= 0]]
            if name == "cnn":
                around = np.pad(xs, ((1, 1), (0, 0)))
                windows = np.stack([around[i : i + 3].reshape(-1) for i in range(len(xs))])
                expected = np.tanh(windows @ np.float64(params.w) + params.b).max(0)
            else:
                zeros = (np.zeros((1, 2)), np.zeros((1, 2)))
                forward = recurrences.lstm(double(params.forward), zeros, xs[:, None])[0][-1, 0]
                backward = recurrences.lstm(double(params.backward), zeros, xs[::-1, None])[0][-1, 0]
                expected = np.concatenate([forward, backward])
            np.testing.assert_allclose(vector, expected, rtol=0, atol=1e-6)


def test_an_lstm_encoder_and_the_same_tagger_again():
    encoder = bidirectional(lstm(7, 2), lstm(7, 2))
    output = tag_output("crf", list(TAGS))
    assert output is tag_output("crf", TAGS)
    assert tagger(encoder, output, COUNTS) is tagger(encoder, output, list(COUNTS), None, word_dropout=0.25)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match="output must be one of softmax, constrained, crf, got 'best'"):
        tag_output("best", TAGS)
    with pytest.raises(UserError, match=r"output constrained needs BIO or IOBES tags, .* got NOUN, VERB"):
        tag_output("constrained", ("NOUN", "VERB"))
    with pytest.raises(UserError, match=r"must hold a word's embedding .*, got sizes 4 and 4"):
        tagger(bidirectional(rnn(4, 3), rnn(4, 3)), tag_output("crf", TAGS), COUNTS, READERS["cnn"])
    with pytest.raises(UserError, match="char_size must be even, got 5"):
        lstm_reader(6, 3, 5)
    with pytest.raises(UserError, match="dropout_rate must be in"):
        make(dropout_rate=1.0)
