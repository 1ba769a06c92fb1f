"""Completion: the most likely next tokens are those of the softmax after the prompt."""

import jax
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.inference import next_tokens
from tests.catalogue import MODELS, each_model
from tests.inference.toys import small_rnn, spelling_model, table_model


EOL = 0
V = 7


def probabilities_after(model, params, prompt):
    """softmax in float64 of the logits after an end-of-line token and the prompt, step by step."""
    carry, step = model.initial_carry(params, ()), jax.jit(model.step)
    for token in (EOL, *prompt):
        carry, logits = step(params, carry, np.int32(token))
    shifted = np.exp(np.asarray(logits, np.float64) - float(logits.max()))
    return shifted / shifted.sum()


@pytest.mark.parametrize("prompt", [[], [3], [1, 0], [5, 6, 2], [4] * 9], ids=len)
@pytest.mark.parametrize("k", [1, 3, V, V + 1, 1000])
def test_equals_the_softmax_after_the_prompt(prompt, k):
    model, params = small_rnn(V)
    ids, probs = next_tokens(model, params, np.array(prompt, np.int32), k, eol_id=EOL)
    expected = probabilities_after(model, params, prompt)
    assert ids.shape == probs.shape == (min(k, V),)
    assert ids.tolist() == np.argsort(-expected)[:k].tolist()
    np.testing.assert_allclose(probs, np.sort(expected)[::-1][:k], rtol=1e-5)


@pytest.mark.parametrize("name", each_model())
def test_every_model_can_complete(name):
    model, make_params, tolerance, *_ = MODELS[name]
    params = make_params(jax.random.key(1))
    ids, probs = next_tokens(model, params, np.array([2, 4, 1]), 5, eol_id=EOL)
    assert sorted(ids.tolist()) == list(range(5)) and (np.diff(probs) <= 0).all()
    expected = probabilities_after(model, params, [2, 4, 1])
    np.testing.assert_allclose(probs, expected[ids], atol=tolerance)
    assert probs.sum() == pytest.approx(1, abs=1e-6)


def test_the_prompt_follows_an_end_of_line():
    """The next token is that of the last token of the prompt, or of the end-of-line token where there is none."""
    model, params = table_model(np.roll(np.eye(V), 1, axis=1) * 9)
    assert [next_tokens(model, params, np.array(p, np.int32), 1, eol_id=2)[0][0] for p in ([], [5], [5, 6])] == [
        3,
        6,
        0,
    ]


def test_a_certain_model_gives_probability_one():
    model = spelling_model([3, 1, 4, 1, 5], V)
    ids, probs = next_tokens(model, None, np.array([3, 1], np.int32), V, eol_id=EOL)
    assert ids[0] == 4 and probs[0] == 1 and not probs[1:].any()


@pytest.mark.parametrize("k", [0, -1])
def test_at_least_one_token_must_be_asked_for(k):
    model, params = small_rnn(V)
    with pytest.raises(UserError, match=f"k must be a whole number of at least 1, got {k}"):
        next_tokens(model, params, np.array([1]), k, eol_id=EOL)
