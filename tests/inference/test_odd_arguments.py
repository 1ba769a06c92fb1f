"""What a caller may give that no model has: ids outside, no tokens, mistyped modes, extreme temperatures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import rnn
from lm_jax.errors import UserError
from lm_jax.inference import generate, likelihood
from lm_jax.inference.beam_search import beam_search
from lm_jax.inference.free_running import free_running_loss
from lm_jax.inference.generation import next_tokens
from lm_jax.inference.sampling import Sampler
from lm_jax.inference.token_ids import checked_ids
from lm_jax.models import recurrent_lm


MODEL = recurrent_lm(5, rnn(2, 3))
PARAMS = MODEL.init(jax.random.key(0))
USES = {
    "likelihood": lambda ids: likelihood(MODEL, PARAMS, ids, 0),
    "generate": lambda ids: generate(MODEL, PARAMS, ids, 2, jax.random.key(0), eol_id=0),
    "next_tokens": lambda ids: next_tokens(MODEL, PARAMS, ids, 2, eol_id=0),
    "beam_search": lambda ids: beam_search(MODEL, PARAMS, ids, 2, eol_id=0),
    "free_running_loss": lambda ids: free_running_loss(MODEL, PARAMS, [ids], 0, jax.random.key(0), eol_id=0),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("ids", [[-1], [5], [1, 2**40], [1.0, 2.0], [[1]], ["a"]])
def test_ids_outside_the_vocabulary_are_refused(use, ids):
    with pytest.raises(UserError, match=r"must be ids from 0 to 4, got|must be ids, .*got"):
        USES[use](np.asarray(ids))


def test_ids_that_are_refused_are_told():
    np.testing.assert_array_equal(checked_ids([4, 0], 5), [4, 0])
    with pytest.raises(UserError, match=r"^tokens must be ids from 0 to 4, got -3 to 7$"):
        checked_ids([7, -3], 5)


@pytest.mark.parametrize("ids", [[], np.zeros(0)])
def test_a_text_without_a_token_has_no_likelihood_and_begins_any_text(ids):
    with pytest.raises(UserError, match="must have a token to be scored"):
        likelihood(MODEL, PARAMS, np.asarray(ids), 0)
    assert USES["generate"](np.asarray(ids)).shape == (2, 1)


def test_a_mistyped_mode_and_no_streams_are_refused():
    with pytest.raises(UserError, match="mode must be one of stream, sentence, got 'sentences'"):
        likelihood(MODEL, PARAMS, np.array([1]), 0, mode="sentences")
    with pytest.raises(UserError, match="eval_streams must be a whole number of at least 1, got 0"):
        likelihood(MODEL, PARAMS, np.array([1]), 0, eval_streams=0)


@pytest.mark.parametrize("options", [{}, {"top_k": 3}])
@pytest.mark.parametrize("temperature", [5e-324, 1e-45])
def test_the_coldest_temperatures_choose_the_most_likely(temperature, options):
    logits = jnp.array([[0.0, 1.0, 1.0 - 2**-20, -jnp.inf], [3e38, -3e38, 0.0, 1.0]])
    choose = Sampler(temperature=temperature, **options)
    for seed in range(2):
        np.testing.assert_array_equal(choose(jax.random.key(seed), logits), [1, 0])


@pytest.mark.parametrize("temperature", [1e308])
def test_the_hottest_temperatures_draw_evenly_what_is_possible(temperature):
    logits = jnp.broadcast_to(jnp.array([0.0, 50.0, -50.0, -jnp.inf]), (3000, 4))
    drawn = np.bincount(Sampler(temperature=temperature)(jax.random.key(0), logits), minlength=4)
    assert drawn[3] == 0 and abs(drawn[:3] - 1000).max() < 130  # 5 standard deviations
