"""Beam search: width 1 is greedy, full width is exhaustive, and what is returned has the scores it claims."""

import functools
import itertools
import math

import jax
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.cells import rnn
from lm_jax.inference import Sampler, beam_search, generate
from lm_jax.models import recurrent_lm
from tests.catalogue import MODELS, VOCAB_SIZE, each_model
from tests.inference.toys import small_rnn, spelling_model, table_model


EOL = 0
PENALTIES = [0.0, 0.5, 1.0]


@functools.cache
def any_table(size):
    """One model for all tables of a size: what is compiled for one serves the others."""
    return table_model(np.zeros((size, size)))[0]


def random_table(seed, size=6):
    """Any two logits differ, so that no two tokens are equally likely."""
    return any_table(size), np.random.default_rng(seed).normal(size=(size, size)).astype(np.float32)


def random_recurrent(seed, size=6):
    """Probabilities that depend on all that came before."""
    model = recurrent_lm(size, rnn(3, 4))
    generator = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return model, jax.tree.map(lambda leaf: generator.normal(size=leaf.shape).astype(np.float32), shapes)


TOYS = {"table": random_table, "recurrent": random_recurrent}


def until_end(tokens):
    """The tokens of a hypothesis: all up to and with the first end of a line."""
    tokens = [int(token) for token in tokens]
    return tuple(tokens[: tokens.index(EOL) + 1] if EOL in tokens else tokens)


@functools.cache
def jitted_score(model):
    return jax.jit(model.score)


def scored(model, params, prompt, strings, length):
    """log P of strings of at most `length` tokens after a prompt, by one call of the model's `score`."""
    start = [EOL, *prompt]
    rows = [[*start, *string] + [EOL] * (length - len(string)) for string in strings]
    table = np.array(rows, np.int32).T
    steps = np.arange(len(table) - 1)[:, None]
    mask = (steps >= len(prompt)) & (steps < len(prompt) + np.array([len(string) for string in strings]))
    carry = model.initial_carry(params, (len(strings),))
    _, log_probs = jitted_score(model)(params, carry, table[:-1], table[1:])
    return np.where(mask, np.asarray(log_probs, np.float64), 0).sum(axis=0)


def assert_consistent(model, params, prompt, beams, length_penalty, tolerance):
    """Shapes, padding, flags and order; and log_probs are those that the model itself gives to the tokens."""
    width, length = beams.tokens.shape
    strings = [until_end(tokens) for tokens in beams.tokens]
    assert beams.lengths.tolist() == [len(string) for string in strings]
    assert beams.finished.tolist() == [string[-1] == EOL for string in strings]
    for tokens, string in zip(beams.tokens, strings, strict=True):
        assert (tokens[len(string) :] == EOL).all() and (string[-1] == EOL or len(string) == length)
    scores = beams.log_probs.astype(np.float64) / beams.lengths**length_penalty
    np.testing.assert_allclose(beams.scores(length_penalty), scores, rtol=1e-6)
    assert (np.diff(scores) <= 1e-6 * np.abs(scores[1:])).all()
    assert len(set(strings)) == width
    np.testing.assert_allclose(beams.log_probs, scored(model, params, prompt, strings, length), **tolerance)


# Each of a handful of log-probabilities is float32, as is their sum.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("seed", range(8))
def test_width_one_is_greedy(toy, seed):
    model, params = TOYS[toy](seed % 4)
    prompt = np.array([[], [3], [1, 5, 2]][seed % 3], np.int32)
    greedy = generate(model, params, prompt, 12, jax.random.key(0), eol_id=EOL, sampler=Sampler(greedy=True))[:, 0]
    for length_penalty in PENALTIES:
        beams = beam_search(model, params, prompt, 12, eol_id=EOL, beam_size=1, length_penalty=length_penalty)
        assert beams.tokens.shape == (1, 12)
        assert until_end(beams.tokens[0]) == until_end(greedy)


def test_some_greedy_strings_end_and_some_do_not():
    """Otherwise the test above would show one half only."""
    ends = set()
    for toy, seed in itertools.product(TOYS.values(), range(4)):
        beams = beam_search(*toy(seed), np.array([], np.int32), 12, eol_id=EOL, beam_size=1)
        ends.add(bool(beams.finished[0]))
    assert ends == {True, False}


@pytest.mark.parametrize("length_penalty", PENALTIES)
@pytest.mark.parametrize(("toy", "steps", "prompt"), [("table", 3, []), ("recurrent", 4, []), ("recurrent", 3, [2, 1])])
def test_full_width_is_exhaustive(toy, steps, prompt, length_penalty):
    """Over three words: 2^(t - 1) strings that end at t, and 2^steps that do not."""
    model, params = TOYS[toy](5, 3)
    strings = {until_end(string) for string in itertools.product(range(3), repeat=steps)}
    assert len(strings) == 2 ** (steps + 1) - 1
    strings = sorted(strings)
    log_probs = scored(model, params, prompt, strings, steps)
    assert np.exp(log_probs).sum() == pytest.approx(1, abs=1e-5)
    ranks = log_probs / np.array([len(string) for string in strings]) ** length_penalty
    order = np.argsort(-ranks)
    assert (np.diff(ranks[order]) < -1e-4).all()  # no two are as good, so that there is one order

    prompt = np.array(prompt, np.int32)
    beams = beam_search(model, params, prompt, steps, eol_id=EOL, beam_size=3**steps, length_penalty=length_penalty)
    found = np.isfinite(beams.log_probs)
    assert found.tolist() == [True] * len(strings) + [False] * (3**steps - len(strings))
    assert [until_end(tokens) for tokens in beams.tokens[found]] == [strings[i] for i in order]
    np.testing.assert_allclose(beams.log_probs[found], log_probs[order], **CLOSE)


@pytest.mark.parametrize("length_penalty", [*PENALTIES, 2.5])
@pytest.mark.parametrize("beam_size", [2, 5])
def test_what_comes_back_is_consistent(beam_size, length_penalty):
    model, params = random_recurrent(2)
    for prompt in ([], [4], [1, 2, 3]):
        ids = np.array(prompt, np.int32)
        beams = beam_search(model, params, ids, 7, eol_id=EOL, beam_size=beam_size, length_penalty=length_penalty)
        assert beams.tokens.shape == (beam_size, 7) and np.isfinite(beams.log_probs).all()
        assert_consistent(model, params, prompt, beams, length_penalty, CLOSE)


@pytest.mark.parametrize("name", each_model())
def test_every_model_can_be_searched(name):
    model, make_params, tolerance, *_ = MODELS[name]
    params = make_params(jax.random.key(1))
    beams = beam_search(model, params, np.array([3, 1]), 4, eol_id=EOL, beam_size=4, length_penalty=0.5)
    assert beams.tokens.max() < VOCAB_SIZE
    assert_consistent(model, params, [3, 1], beams, 0.5, {"rtol": tolerance, "atol": tolerance})


def garden_path():
    """The likeliest first word is 1 (0.6), but what follows it is anybody's guess (1/4 each); after 2 (0.4) comes the
    end for certain."""
    probs = np.full((4, 4), 0.25)
    probs[EOL] = [1e-9, 0.6, 0.4, 1e-9]
    probs[2] = [1.0, 1e-9, 1e-9, 1e-9]
    return any_table(4), np.log(probs, dtype=np.float32)


def test_a_wider_beam_finds_what_greedy_misses():
    model, params = garden_path()
    prompt = np.array([], np.int32)
    narrow, wide = (beam_search(model, params, prompt, 2, eol_id=EOL, beam_size=k) for k in (1, 2))
    assert until_end(narrow.tokens[0])[0] == 1 and float(narrow.log_probs[0]) == pytest.approx(math.log(0.15), abs=1e-5)
    assert until_end(wide.tokens[0]) == (2, EOL) and float(wide.log_probs[0]) == pytest.approx(math.log(0.4), abs=1e-5)


def test_a_finished_hypothesis_stays_as_it_is():
    """The best one ends at the second step; more steps change neither it nor its probability."""
    model, params = garden_path()
    for steps in (2, 3, 9):
        beams = beam_search(model, params, np.array([], np.int32), steps, eol_id=EOL, beam_size=2)
        assert beams.tokens[0].tolist() == [2, *[EOL] * (steps - 1)]
        assert (int(beams.lengths[0]), bool(beams.finished[0])) == (2, True)
        assert float(beams.log_probs[0]) == pytest.approx(math.log(0.4), abs=1e-5)


def test_the_penalty_prefers_longer_hypotheses():
    """The end at once has probability 0.5, the best of three tokens 0.5 * 0.6 * 0.6 = 0.18: 0.565 a token."""
    model, params = table_model(np.log([[0.5, 0.5], [0.4, 0.6]]))
    for length_penalty, best in ((0.0, (EOL,)), (1.0, (1, 1, 1))):
        beams = beam_search(
            model, params, np.array([], np.int32), 3, eol_id=EOL, beam_size=8, length_penalty=length_penalty
        )
        assert until_end(beams.tokens[0]) == best


def test_the_penalty_counts_at_every_step():
    """The end at once has 0.29; after 1 come 2 (0.5 * 0.6 = 0.3) and 3 (0.45 * 0.6 = 0.27). By probability 3 would
    leave a beam of two; per token it stays, and then ends for certain."""
    probs = np.array([[0.29, 0.6, 0.055, 0.055], [0.025, 0.025, 0.5, 0.45], [0.25] * 4, [1.0, 1e-9, 1e-9, 1e-9]])
    settings = {"eol_id": EOL, "beam_size": 2}
    for length_penalty, best in ((0.0, (EOL,)), (1.0, (1, 3, EOL))):
        beams = beam_search(*table_model(np.log(probs)), [], 3, **settings, length_penalty=length_penalty)
        assert until_end(beams.tokens[0]) == best


def test_a_known_string_is_found():
    model = spelling_model([3, 1, 4, 1, 5, EOL], 6)
    beams = beam_search(model, None, np.array([3, 1], np.int32), 8, eol_id=EOL, beam_size=3)
    assert until_end(beams.tokens[0]) == (4, 1, 5, EOL) and float(beams.log_probs[0]) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_tokens": 0}, "max_tokens must be a whole number of at least 1, got 0"),
        ({"beam_size": 0}, "beam_size must be a whole number of at least 1, got 0"),
        ({"beam_size": 2.5}, "beam_size must be a whole number of at least 1, got 2.5"),
        ({"length_penalty": -0.1}, "length_penalty must be at least 0, got -0.1"),
        ({"length_penalty": math.nan}, "length_penalty must be at least 0, got nan"),
        ({"length_penalty": math.inf}, "length_penalty must be at least 0, got inf"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(change, message):
    model, params = small_rnn()
    settings = {"max_tokens": 3, "eol_id": EOL} | change
    with pytest.raises(UserError, match=message):
        beam_search(model, params, np.array([1]), **settings)


def test_lengths_of_one_bucket_trace_once():
    traces = []
    logits = np.random.default_rng(0).normal(size=(5, 5))
    model, params = table_model(logits)

    def step(*arguments):
        traces.append(1)
        return model.step(*arguments)

    counted = model._replace(step=step)
    for steps in (5, 8, 7):
        beams = beam_search(counted, params, [1], steps, eol_id=0, beam_size=3)
        assert beams.tokens.shape == (3, steps) and beams.lengths.max() <= steps
        once = len(traces) if steps == 5 else once
        assert len(traces) == once
