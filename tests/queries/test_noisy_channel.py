"""Translations reranked by three runs: each score is that of its own run, and texts are the bridge between them."""

import dataclasses
import itertools

import numpy as np
import pytest

import lm_jax
from lm_jax.data.parallel import read_pairs
from lm_jax.inference.corpus_measures import corpus_measure
from lm_jax.inference.noisy_channel import Grid, language_model_scores, readable, reverse_scores
from lm_jax.inference.translation import pair_log_probs
from lm_jax.queries import channel_candidates, rerank, tune_weights
from tests.queries.channel import channel_runs


TEXTS = ["eins zwei drei.", "null null eins.", "drei nirgends zwei."]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("channel")
    return {name: lm_jax.load(path) for name, path in channel_runs(folder).items()}


@pytest.fixture(scope="module")
def others(runs):
    return {"reverse": runs["reverse"], "language_model": runs["language_model"]}


@pytest.fixture(scope="module")
def lists(runs, others):
    return channel_candidates(runs["direct"], TEXTS, **others)


def test_candidates_are_the_beam_of_the_direct_run(runs, lists):
    found = runs["direct"].translate_all(TEXTS, n_best=3)
    assert [len(one) for one in lists] == [3, 3, 3]
    for own, expected in zip(lists, found, strict=True):
        for one, other in zip(own, expected, strict=True):
            assert (one.text, one.search_score, one.direct) == (other.text, other.score, other.log_prob)
            assert other.score == pytest.approx(other.log_prob / one.length, rel=1e-5)


def test_the_reverse_score_is_the_likelihood_of_the_reverse_run(runs, lists):
    """Of each pair alone, encoded here."""
    reverse = runs["reverse"]
    words, targets = reverse.vocabulary.source, reverse.vocabulary.target
    for source, of_source in zip(TEXTS, lists, strict=True):
        spelled = [*source.removesuffix(".").split(), "￭.", "</s>"]
        written = np.array([targets.ids.get(word, targets.unk_id) for word in spelled], np.int32)
        for one in of_source:
            read = reverse.vocabulary.source_tokens(one.text)
            ids = np.array([words.ids.get(word, words.unk_id) for word in read], np.int32)
            (alone,) = pair_log_probs(reverse.model, reverse.params, [ids], [written], targets.eol_id)
            assert one.reverse == pytest.approx(alone, abs=1e-4)
            assert one.unknown_reverse == sum(word not in words.ids for word in read)


def test_the_reverse_score_is_that_of_the_reverse_search(runs):
    """What a search finds it has scored itself; the end is made likely here, the unknown word unlikely."""
    reverse, text = runs["reverse"], "two one zero!"
    vocabulary, params = reverse.vocabulary, reverse.params
    bias = np.zeros(len(vocabulary.target), np.float32)
    bias[[vocabulary.target.eol_id, vocabulary.target.unk_id]] = 2.0, -30.0
    decoder = params.decoder.replace(b_out=params.decoder.b_out + bias)
    reverse = dataclasses.replace(reverse, params=params.replace(decoder=decoder))
    found = [one for one in reverse.translate_all([text], n_best=3, beam_size=3)[0] if one.finished and one.length > 1]
    found = [one for one in found if vocabulary.target.unk_id not in vocabulary.encode_target(one.text)]
    written = [one.text for one in found]  # without a "." before a word: read again it would be another token
    scores = reverse_scores(reverse.model, reverse.params, vocabulary, written, [text] * len(found))
    assert found
    assert scores.log_probs == pytest.approx([one.log_prob for one in found], abs=1e-4)


def test_the_score_of_the_language_model_is_that_of_its_run(runs, lists):
    for one in itertools.chain(*lists):
        words = runs["direct"].vocabulary.target_text(one.text)
        (line,) = runs["language_model"].score(words + "\n", alone=True)
        assert one.language_model == pytest.approx(line.log_prob, abs=1e-4)
        assert one.unknown_language_model == line.unknown


def test_words_are_unknown_where_a_vocabulary_lacks_them(runs):
    model = runs["language_model"]
    found = language_model_scores(model.model, model.params, model.vocabulary, ["one three ￭!", "one two"])
    assert found.unknown.tolist() == [1, 0]  # "three" is none of its words
    text = readable(runs["direct"].vocabulary, "one <unk>!")
    assert runs["direct"].vocabulary.target_text(text).split()[::2] == ["one", "￭!"]
    reverse = runs["reverse"]
    scores = reverse_scores(reverse.model, reverse.params, reverse.vocabulary, ["eins."] * 3, [text, "", "one one!"])
    assert scores.unknown.tolist() == [1, 1, 0] and np.isfinite(scores.log_probs).all()


def test_the_weight_of_the_direct_run_alone_gives_its_translations(runs, others):
    direct = runs["direct"]
    expected = direct.translate_all(TEXTS, n_best=3)
    found = rerank(direct, TEXTS, **others, weights=(1, 0, 0, 0), n_best=3)
    assert [[one.text for one in of] for of in found] == [[one.text for one in of] for of in expected]
    assert [[one.score for one in of] for of in found] == [[one.score for one in of] for of in expected]


def test_translations_are_ranked_by_the_weighted_sum(runs, others, lists):
    weights = (0.5, 2.0, 1.0, 0.1)
    found = runs["direct"].rerank(TEXTS, **others, weights=weights, n_best=2)
    for of_text, candidates in zip(found, lists, strict=True):
        scores = {
            one.text: (0.5 * one.direct + 2.0 * one.reverse + one.language_model) / one.length + 0.1 * one.length
            for one in candidates
        }
        expected = sorted(scores, key=scores.__getitem__, reverse=True)[:2]
        assert [one.text for one in of_text] == expected
        assert [one.score for one in of_text] == pytest.approx([scores[text] for text in expected], rel=1e-4)
    (plain,) = rerank(runs["direct"], TEXTS[:1], **others)
    assert plain[0].score == pytest.approx((plain[0].reverse + plain[0].language_model) / plain[0].length, rel=1e-6)


def test_tuned_weights_are_the_best_of_the_grid(runs, others):
    """By loops over the candidates of the validation pairs; and no worse than the direct search."""
    direct = runs["direct"]
    grid = Grid(reverse=(0.0, 0.5, 2.0), language_model=(0.0, 1.0), length=(0.0, 0.3))
    found = tune_weights(direct, **others, split="train", grid=grid)
    pairs = read_pairs(direct.config.data.data, "de", "en")[1]["train"]
    lists = channel_candidates(direct, [pair.source for pair in pairs], **others)
    measure, values = corpus_measure(), {}
    for weights in itertools.product(*grid):
        texts = []
        for one in lists:
            scores = [
                (weights[0] * c.direct + weights[1] * c.reverse + weights[2] * c.language_model) / c.length
                + weights[3] * c.length
                for c in one
            ]
            texts.append(one[int(np.argmax(scores))].text)
        sums = [measure.statistics(text, pair.target) for text, pair in zip(texts, pairs, strict=True)]
        values[weights] = measure.score(sum(sums))
    assert found.tuned == pytest.approx(max(values.values()))
    assert found.direct == pytest.approx(values[1.0, 0.0, 0.0, 0.0]) and found.tuned >= found.direct
    assert values[tuple(found.weights)] == pytest.approx(found.tuned) and found.pairs == len(pairs)
    assert 0 <= found.unknown_reverse <= 1 and 0 <= found.unknown_language_model <= 1


def test_a_reverse_run_of_characters_reads_the_same_texts(runs, tmp_path):
    """Another vocabulary, another level: the text is the bridge."""
    other = lm_jax.load(channel_runs(tmp_path, level="char")["reverse"])
    lists = channel_candidates(runs["direct"], TEXTS[:1], reverse=other, language_model=runs["language_model"])
    vocabulary = other.vocabulary
    for one in lists[0]:
        read = np.array([vocabulary.source.ids.get(sign, vocabulary.unk_id) for sign in one.text], np.int32)
        written = np.array([vocabulary.target.ids[sign] for sign in TEXTS[0] + "\n"], np.int32)
        (alone,) = pair_log_probs(other.model, other.params, [read], [written], vocabulary.target.eol_id)
        assert one.reverse == pytest.approx(alone, abs=1e-4)


def test_other_weights_are_refused(runs, others):
    with pytest.raises(lm_jax.UserError, match="weights must be 4 numbers, got 2"):
        rerank(runs["direct"], TEXTS, **others, weights=(1, 2))
    assert rerank(runs["direct"], [], **others) == []
