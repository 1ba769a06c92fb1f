"""N-gram models: every estimator is a distribution, keeps the laws of the contract, and equals its equations."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.config import AddK
from lm_jax.errors import UserError
from lm_jax.inference import generate, likelihood, token_log_probs
from lm_jax.models.ngram import ESTIMATORS, count_ngrams, estimate
from lm_jax.models.ngram.kneser_ney import discounts_of
from lm_jax.models.ngram.model import ngram_lm
from lm_jax.models.ngram.score_text import text_log_probs
from tests.oracles.ngrams import KneserNey


V, EOL = 6, 0
rng = np.random.default_rng(0)
TEXT = rng.choice(V, 400, p=[0.2, 0.35, 0.2, 0.15, 0.1, 0.0]).astype(np.int32)  # type 5 never occurs
OTHER = rng.integers(0, V, 60).astype(np.int32)
TEXTS = {"text": TEXT, "one line": np.array([1, 2, 1, 0], np.int32), "no end": np.array([3, 3], np.int32)}
DISTRIBUTIONS = [name for name in ESTIMATORS if name not in ("maximum-likelihood", "stupid-backoff")]


def make(order, method, text=TEXT, **options):
    params = estimate(text, order, V, EOL, method=method, held_out=OTHER, **options).params
    return ngram_lm(order, V, EOL), jax.tree.map(jnp.asarray, params)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("method", DISTRIBUTIONS)
def test_probabilities_sum_to_one_after_seen_and_unseen_contexts(method, order, text):
    model, params = make(order, method, text)
    carry = model.initial_carry(params, (4,))
    _, logits = jax.jit(model.unroll)(params, carry, OTHER.reshape(-1, 4))
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(jnp.exp(logits).sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("method", DISTRIBUTIONS)
def test_all_strings_of_a_length_have_probability_one(method):
    model, params = make(3, method)
    strings = np.array(list(itertools.product(range(V), repeat=3)), np.int32).T
    inputs = np.concatenate([np.full_like(strings[:1], EOL), strings[:-1]])
    _, log_probs = model.score(params, model.initial_carry(params, (V**3,)), inputs, strings)
    assert np.exp(np.asarray(log_probs, np.float64).sum(0)).sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("method", ESTIMATORS)
def test_unroll_is_steps_score_gathers_and_masks_and_resets_hold(method, order):
    model, params = make(order, method)
    tokens, targets = OTHER.reshape(-1, 3), np.roll(OTHER.reshape(-1, 3), -1, 0)
    generator = np.random.default_rng(1)
    mask, reset = generator.random(tokens.shape) < 0.7, generator.random(tokens.shape) < 0.2
    carry = start = model.initial_carry(params, (3,))
    expected, step = [], jax.jit(model.step)
    for t, token in enumerate(tokens):
        begun = jnp.where((reset[t] & mask[t])[:, None], start, carry)
        new, logits = step(params, begun, token)
        carry = jnp.where(mask[t][:, None], new, carry)
        expected.append(np.where(mask[t], np.take_along_axis(np.asarray(logits), targets[t][:, None], -1)[:, 0], 0))
    last, log_probs = jax.jit(model.score)(params, start, tokens, targets, mask=mask, reset=reset)
    np.testing.assert_array_equal(last, carry)
    np.testing.assert_allclose(log_probs, np.stack(expected), rtol=1e-6)


def test_a_text_in_two_parts_is_the_text():
    model, params = make(4, "katz")
    tokens = OTHER.reshape(-1, 2)
    start, unroll = model.initial_carry(params, (2,)), jax.jit(model.unroll)
    whole_carry, whole = unroll(params, start, tokens)
    carry, first = unroll(params, start, tokens[:11])
    carry, second = unroll(params, carry, tokens[11:])
    np.testing.assert_array_equal(jnp.concatenate([first, second]), whole)
    np.testing.assert_array_equal(carry, whole_carry)


@pytest.mark.parametrize("modified", [True, False], ids=["three discounts", "one discount"])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_kneser_ney_equals_the_equations(order, modified):
    """At these sizes some orders have the counts for the formula and some fall back, in both implementations."""
    lines = [list(map(str, line[:-1])) for line in np.split(TEXT, np.flatnonzero(TEXT == EOL) + 1)[:-1]]
    text = TEXT[: np.flatnonzero(TEXT == EOL)[-1] + 1]
    oracle = KneserNey(lines, order, [*map(str, range(1, V)), "</s>"], modified)
    model, params = make(order, "modified-kneser-ney" if modified else "kneser-ney", text)
    other = [["1", "2", "5"], ["4"], [], ["3", "3", "1", "1", "2"]]
    tokens = np.array([int(word) for line in other for word in [*line, EOL]], np.int32)
    _, log_probs = jax.jit(model.score)(
        params, model.initial_carry(params, ()), np.concatenate([[EOL], tokens[:-1]]).astype(np.int32), tokens
    )
    np.testing.assert_allclose(jnp.exp(log_probs), [p for line in other for p in oracle.line(line)], rtol=1e-5)


def test_a_small_text_falls_back_and_says_for_which_order():
    notes = estimate(TEXTS["one line"], 2, V, EOL).notes
    assert [note.split(":")[0] for note in notes] == ["order 1", "order 2"]
    assert all("0.5, 1.0, 1.5 used instead" in note for note in notes)


def test_counts_by_hand():
    """a b a </s> b </s>: <s> a, a b, b a, a </s>, <s> b, b </s> once each; a twice as a word, b twice, </s> twice."""
    a, b = 1, 2
    unigrams, bigrams, trigrams = count_ngrams(np.array([a, b, a, EOL, b, EOL]), 3, 3, EOL)
    assert unigrams.counts.tolist() == [2, 2, 2]
    pairs = list(zip(bigrams.prefix.tolist(), bigrams.words.tolist(), bigrams.counts.tolist(), strict=True))
    assert pairs == [(EOL, a, 1), (EOL, b, 1), (a, EOL, 1), (a, b, 1), (b, EOL, 1), (b, a, 1)]
    assert bigrams.starts.tolist() == [True, True, False, False, False, False]
    triples = [(pairs[p][0], pairs[p][1], w) for p, w in zip(trigrams.prefix, trigrams.words, strict=True)]
    assert triples == [(EOL, a, b), (EOL, b, EOL), (a, b, a), (b, a, EOL)]
    assert [pairs[s][:2] for s in trigrams.suffix] == [(a, b), (b, EOL), (b, a), (a, EOL)]


def test_simple_estimates_by_hand():
    """1 2 1 0: after 1 come 2 and 0, once each. V = 6."""
    text, targets = TEXTS["one line"], np.arange(V, dtype=np.int32)
    expected = {
        "maximum-likelihood": [1 / 2, 0, 1 / 2, 0, 0, 0],
        "add-k": [1.5 / 5, 0.5 / 5, 1.5 / 5, 0.5 / 5, 0.5 / 5, 0.5 / 5],  # (c + 0.5) / (2 + 0.5 * 6)
        "stupid-backoff": [1 / 2, 0.4 * 2 / 4, 1 / 2, 0, 0, 0],
        # unigrams (c + 3 / 6) / (4 + 3): 1.5/7, 2.5/7, 1.5/7, 0.5/7 ...; bigrams (c + 2 P(w)) / (2 + 2)
        "witten-bell": [(1 + 3 / 7) / 4, 5 / 28, (1 + 3 / 7) / 4, 1 / 28, 1 / 28, 1 / 28],
    }
    for method, probabilities in expected.items():
        model, params = make(2, AddK(0.5) if method == "add-k" else method, text)
        _, logits = model.step(params, model.initial_carry(params, ()), jnp.int32(1))
        np.testing.assert_allclose(jnp.exp(logits[targets]), probabilities, rtol=1e-6, atol=1e-12)


def test_maximum_likelihood_uses_the_next_shorter_context_that_was_seen():
    model, params = make(3, "maximum-likelihood", TEXTS["one line"])
    carry = model.initial_carry(params, ())
    _, after_unseen = model.unroll(params, carry, jnp.array([3, 1]))  # "3 1" and "3" were never seen, "1" was
    np.testing.assert_allclose(jnp.exp(after_unseen[-1]), [1 / 2, 0, 1 / 2, 0, 0, 0], atol=1e-12)


@pytest.mark.parametrize("method", sorted(ESTIMATORS))
@pytest.mark.parametrize("order", [1, 2, 4])
def test_a_text_scored_at_once_is_the_text_scored_by_the_model(method, order):
    """In any number of streams, words and contexts that were never seen included."""
    model, params = make(order, method)
    for streams in (1, 3):
        starts = np.cumsum([len(part) for part in np.array_split(OTHER, streams)])[:-1]
        at_once = text_log_probs(params, OTHER, EOL, starts)
        np.testing.assert_allclose(
            at_once, token_log_probs(model, params, OTHER, EOL, eval_streams=streams), rtol=1e-5, atol=1e-6
        )


def test_orders_that_the_text_is_too_short_for_pass_everything_on():
    """Where there is not one n-gram of the order below, too."""
    for method in DISTRIBUTIONS:
        params = estimate(np.array([3, 3], np.int32), 7, V, EOL, method=method, held_out=OTHER).params
        low = estimate(np.array([3, 3], np.int32), 3, V, EOL, method=method, held_out=OTHER).params
        if method not in ("add-k", "jelinek-mercer"):  # those say something else of every order
            np.testing.assert_allclose(
                text_log_probs(params, OTHER, EOL), text_log_probs(low, OTHER, EOL), rtol=1e-6, err_msg=method
            )
        assert np.isfinite(text_log_probs(params, OTHER, EOL)).all()


def test_a_discount_of_nothing_falls_back():
    """Counts of counts 4, 1, 1, 1 make D = 2/3, 0, 1/3: after words that were all seen twice nothing would be left."""
    discounts, note = discounts_of(np.array([1, 1, 1, 1, 2, 3, 4]), modified=True)
    assert discounts.tolist() == [0, 0.5, 1, 1.5]
    assert note == "the discounts would be 0.667, 0.000, 0.333; discounts 0.5, 1.0, 1.5 used instead"


def test_what_an_estimate_is_not_is_noted():
    notes = {method: estimate(TEXT, 2, V, EOL, method=method, held_out=OTHER).notes for method in ESTIMATORS}
    assert "probability 0" in notes["maximum-likelihood"][0] and "infinite" in notes["maximum-likelihood"][0]
    assert "do not sum to one" in notes["stupid-backoff"][0]
    assert not notes["witten-bell"] and not notes["add-k"]


def test_line_by_line_is_as_one_stream():
    model, params = make(4, "modified-kneser-ney")
    stream = likelihood(model, params, TEXT, EOL, eval_streams=1)
    alone = likelihood(model, params, TEXT, EOL, eval_streams=7, mode="sentence")
    assert stream.log_prob == pytest.approx(alone.log_prob, rel=1e-6)


def test_without_an_estimate_the_model_is_uniform_and_it_generates():
    model = ngram_lm(3, V, EOL)
    params = jax.tree.map(jnp.asarray, model.init(jax.random.key(0)))
    assert likelihood(model, params, OTHER, EOL).perplexity == pytest.approx(V, rel=1e-6)
    tokens = generate(model, params, np.array([1]), 40, jax.random.key(1), eol_id=EOL)
    assert tokens.shape == (40, 1) and len(set(tokens[:, 0].tolist())) > 2


@pytest.mark.parametrize(
    "options, message",
    [
        ({"order": 0}, "order must be a whole number of at least 1, got 0"),
        ({"method": AddK(0.0)}, "k must be positive and finite, got 0.0"),
        ({"method": AddK(float("nan"))}, "k must be positive and finite, got nan"),
        ({"method": "kneser"}, "method must be one of"),
        ({"method": "jelinek-mercer"}, "needs held-out text"),
    ],
)
def test_bad_requests(options, message):
    with pytest.raises(UserError, match=message):
        estimate(TEXT, **{"order": 2, "vocab_size": V, "eol_id": EOL, **options})
