"""Translations: the search over sources in batches, its scores, coverage, copies of unknown words, and measures."""

import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.cells import gru
from lm_jax.data.parallel_vocabulary import ParallelVocabulary, build_side
from lm_jax.encoders import bidirectional
from lm_jax.inference import Sampler, beam_search, generate
from lm_jax.inference.copying import spell, write
from lm_jax.inference.translation import SearchSettings, alignment, pair_log_probs, translate_batch
from lm_jax.inference.translation_scores import score_translations
from lm_jax.models.conditional import Conditioned, Sizes, conditional_lm, decoder_input_size
from lm_jax.models.source_readers import frame_reader
from lm_jax.models.translator import encoder_decoder, translator


EOL, V = 0, 4
GENERATOR = np.random.default_rng(0)
SOURCES = [GENERATOR.integers(0, 7, size=length).astype(np.int32) for length in (3, 1, 6, 2)]
CLOSE = {"rtol": 1e-5, "atol": 1e-4}


def make(form="multiplicative", vocab_size=V):
    """A translator with normal parameters, of which the end is likely enough to be found."""
    cell = gru(decoder_input_size(form, Sizes(3, 4, 3), False), 3)
    decoder = conditional_lm(
        vocab_size, cell, 4, form=form, input_feeding=False, embedding_size=3, readout_size=3, forward_size=2
    )
    model = translator(7, bidirectional(gru(3, 2), gru(3, 2)), decoder)
    drawn, shapes = np.random.default_rng(3), jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: drawn.normal(size=leaf.shape).astype(np.float32), shapes)
    bias = params.decoder.b_out + np.where(np.arange(vocab_size) == EOL, 2.5, 0).astype(np.float32)
    return model, params.replace(decoder=params.decoder.replace(b_out=bias))


MODEL, PARAMS = make()


def with_end(tokens):
    return np.append(tokens, EOL).astype(np.int32)


def conditioned(source, model=MODEL, params=PARAMS):
    return Conditioned(params.decoder, jax.jit(model.encode)(params, source[:, None]))


@pytest.fixture(scope="module")
def found():
    """Translations of all sources at once, with a beam of three."""
    return translate_batch(MODEL, PARAMS, SOURCES, EOL, SearchSettings(3))


def test_scores_are_those_that_the_model_gives_itself(found):
    for source, of_source in zip(SOURCES, found, strict=True):
        assert len(of_source) == 3 and all(one.finished for one in of_source)
        scores = [one.score for one in of_source]
        assert scores == sorted(scores, reverse=True)
        own = pair_log_probs(MODEL, PARAMS, [source] * 3, [with_end(one.tokens) for one in of_source], EOL)
        np.testing.assert_allclose([one.log_prob for one in of_source], own, **CLOSE)
        lengths = np.array([len(one.tokens) + 1 for one in of_source])
        np.testing.assert_allclose(scores, own / lengths, **CLOSE)


def test_a_batch_is_its_sources_one_by_one(found):
    for source, of_source in zip(SOURCES, found, strict=True):
        alone = beam_search(MODEL.decoder, conditioned(source), [], 80, eol_id=EOL, beam_size=3, length_penalty=1.0)
        for k, one in enumerate(of_source):
            np.testing.assert_array_equal(alone.tokens[k, : alone.lengths[k] - 1], one.tokens)
        np.testing.assert_allclose(alone.log_probs, [one.log_prob for one in of_source], **CLOSE)


def test_width_one_is_greedy():
    greedy = translate_batch(MODEL, PARAMS, SOURCES, EOL, SearchSettings(1))
    for source, (one,) in zip(SOURCES, greedy, strict=True):
        drawn = generate(
            MODEL.decoder, conditioned(source), [], 80, jax.random.key(0), eol_id=EOL, sampler=Sampler(greedy=True)
        )[:, 0].tolist()
        assert one.tokens.tolist() == drawn[: drawn.index(EOL) if EOL in drawn else 80]


def test_full_width_is_exhaustive():
    """Over three words: all strings of at most three tokens, with the log-probabilities of the model."""
    model, params = make(vocab_size=3)
    strings = [s for n in range(3) for s in itertools.product((1, 2), repeat=n)]
    targets = [with_end(s) for s in strings] + [np.array(s, np.int32) for s in itertools.product((1, 2), repeat=3)]
    own = pair_log_probs(model, params, [SOURCES[0]] * len(targets), targets, EOL)
    assert np.exp(own).sum() == pytest.approx(1, abs=1e-5)
    beams = beam_search(model.decoder, conditioned(SOURCES[0], model, params), [], 3, eol_id=EOL, beam_size=27)
    order = np.argsort(-own)
    np.testing.assert_allclose(beams.log_probs[: len(order)], own[order], **CLOSE)
    for tokens, length, best in zip(beams.tokens, beams.lengths, order, strict=False):
        np.testing.assert_array_equal(tokens[:length], targets[best])


def test_coverage_counts_what_attention_has_read(found):
    """score = log P / length + weight * sum_s log(min(sum_t a_ts, 1)), with weights measured after the search."""
    settings = SearchSettings(3, 1.0, 0.7)
    covered = translate_batch(MODEL, PARAMS, SOURCES, EOL, settings)
    for source, of_source in zip(SOURCES, covered, strict=True):
        for one in of_source:
            target = with_end(one.tokens)
            weights = alignment(MODEL, PARAMS, source, target, EOL)
            assert weights.shape == (len(target), len(source))
            np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=0, atol=1e-5)
            bonus = 0.7 * np.log(np.minimum(weights.sum(axis=0), 1)).sum()
            assert one.score == pytest.approx(one.log_prob / len(target) + bonus, abs=1e-4)
    best = [(new[0].score, len(new[0].tokens), len(old[0].tokens)) for new, old in zip(covered, found, strict=True)]
    assert any(new > old for _, new, old in best)  # what has covered more is longer


def test_more_padding_and_other_company_change_no_score():
    targets = [with_end(GENERATOR.integers(1, V, size=len(source))) for source in SOURCES]
    together = pair_log_probs(MODEL, PARAMS, SOURCES, targets, EOL)
    longer = [np.zeros(40, np.int32), *SOURCES], [with_end(np.ones(20, int)), *targets]
    np.testing.assert_allclose(pair_log_probs(MODEL, PARAMS, *longer, EOL)[1:], together, rtol=0, atol=1e-5)


def test_a_signal_is_translated_as_its_memory_is():
    """Of frames, two of them stacked: search, scores and weights are over half as many positions."""
    cell = gru(decoder_input_size("multiplicative", Sizes(3, 4, 3), False), 3)
    options = {"form": "multiplicative", "input_feeding": False, "embedding_size": 3, "readout_size": 3}
    decoder = conditional_lm(V, cell, 4, forward_size=2, **options)
    model = encoder_decoder(frame_reader(3, 2), bidirectional(gru(6, 2), gru(6, 2)), decoder)
    drawn, shapes = np.random.default_rng(3), jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: drawn.normal(size=leaf.shape).astype(np.float32), shapes)
    sources = [GENERATOR.normal(size=(length, 3)).astype(np.float32) for length in (7, 1, 4)]
    found = translate_batch(model, params, sources, EOL, SearchSettings(2))
    memory = Conditioned(params.decoder, jax.jit(model.encode)(params, sources[0][:, None]))
    alone = beam_search(model.decoder, memory, [], 80, eol_id=EOL, beam_size=2, length_penalty=1.0)
    np.testing.assert_allclose(alone.log_probs, [one.log_prob for one in found[0]], **CLOSE)
    targets = [with_end(of_source[0].tokens) for of_source in found]
    own = pair_log_probs(model, params, sources, targets, EOL)
    np.testing.assert_allclose(own, [of_source[0].log_prob for of_source in found], **CLOSE)
    weights = alignment(model, params, sources[0], targets[0], EOL)
    assert weights.shape == (len(targets[0]), 4)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=0, atol=1e-5)


def test_settings_out_of_range_are_refused():
    for settings, message in (
        (SearchSettings(0), "beam_size must be a whole number of at least 1"),
        (SearchSettings(1, -1.0), "length_penalty must be at least 0"),
        (SearchSettings(1, 1.0, -0.1), "coverage_penalty must be at least 0"),
    ):
        with pytest.raises(UserError, match=message):
            translate_batch(MODEL, PARAMS, SOURCES, EOL, settings)
    plain, params = make("plain")
    with pytest.raises(UserError, match=r"coverage_penalty needs attention, got 0\.5 without"):
        translate_batch(plain, params, SOURCES, EOL, SearchSettings(coverage_penalty=0.5))
    with pytest.raises(UserError, match="need a translator with attention"):
        alignment(plain, params, SOURCES[0], SOURCES[1], EOL)


def test_unknown_words_are_copied_from_where_attention_read_most():
    source = build_side("word", "joined", ["a b c"], [], 1, None)
    target = build_side("word", "joined", ["x y"], [], 1, None)
    vocabulary = ParallelVocabulary(source, target)
    places = jnp.asarray([2, 0, 1])  # where each of three tokens is read

    def align(params, carry, tokens):
        return jax.nn.one_hot(places[jnp.arange(len(tokens)) % 3], len(params.memory))

    model = MODEL._replace(align=align)
    ids = [target.unk_id, target.ids["y"], target.unk_id]
    assert spell(model, PARAMS, vocabulary, "a Zürich-See", np.array(ids)) == ["￭-￭", "y", "Zürich"]
    assert write(model, PARAMS, vocabulary, "a Zürich See", np.array(ids)) == "See y Zürich"
    assert spell(model._replace(align=None), PARAMS, vocabulary, "a b", np.array(ids)) == ["<unk>", "y", "<unk>"]
    assert spell(model, PARAMS, vocabulary, "a b", np.array([target.ids["x"]])) == ["x"]


def test_exact_matches_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    scores = score_translations(["a b", "C"], ["a b", "c"])
    assert scores == (0.5, None, None, "") and scores.words == "exact 50.00%"
    assert score_translations(["a b", "C"], ["a b", "c"], lower=True).exact == 1.0
    with pytest.raises(UserError, match="as many references"):
        score_translations(["a"], [])


def test_bleu_and_chrf_with_their_signature():
    pytest.importorskip("sacrebleu")
    scores = score_translations(["The cat sat on the mat.", "No"], ["the cat sat on the mat.", "Yes"], lower=True)
    assert 60 < scores.bleu < 100 and 60 < scores.chrf < 100 and scores.exact == 0.5
    assert "case:lc" in scores.signature and "tok:13a" in scores.signature and "BLEU" in scores.words
