"""Continuations scored many at a time, against one text at a time, token by token."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import cells, models
from lm_jax.errors import UserError
from lm_jax.inference import continuations
from lm_jax.inference.continuations import score_continuations


V, END = 7, 2
MODEL = models.recurrent_lm(V, cells.gru(5, 6))
PARAMS = MODEL.init(jax.random.key(0))


def one_by_one(text, context):
    """The sum and the greedy flag of a continuation, by the model's step."""
    carry, token, total, greedy = MODEL.initial_carry(PARAMS, ()), END, 0.0, True
    for place, target in enumerate(text):
        carry, logits = MODEL.step(PARAMS, carry, jnp.int32(token))
        if place >= context:
            p = np.asarray(logits, np.float64)
            total += p[target] - np.log(np.exp(p).sum())
            greedy = greedy and int(p.argmax()) == target
        token = target
    return total, greedy


@pytest.mark.parametrize("chunk", [4, 64])
def test_many_at_a_time_are_one_at_a_time(chunk, monkeypatch):
    monkeypatch.setattr(continuations, "CHUNK", chunk)
    monkeypatch.setattr(continuations, "BATCH", 3)
    generator = np.random.default_rng(0)
    texts = [generator.integers(0, V, n).astype(np.int32) for n in (5, 0, 12, 1, 3, 9, 4)]
    lengths = [2, 0, 12, 0, 1, 8, 4]
    scores = score_continuations(MODEL, PARAMS, texts, lengths, END)
    for score, text, context in zip(scores, texts, lengths, strict=True):
        total, greedy = one_by_one(text, context)
        assert score.log_prob == pytest.approx(total, abs=1e-5) and score.greedy == greedy


def test_what_greedy_decoding_gives_is_greedy():
    carry, token, text = MODEL.initial_carry(PARAMS, ()), END, [3, 1]
    for given in (END, *text):
        carry, logits = MODEL.step(PARAMS, carry, jnp.int32(given))
    for _ in range(6):
        token = int(logits.argmax())
        text.append(token)
        carry, logits = MODEL.step(PARAMS, carry, jnp.int32(token))
    wrong = [*text[:-1], (text[-1] + 1) % V]
    scores = score_continuations(MODEL, PARAMS, [np.array(text), np.array(wrong)], [2, 2], END)
    assert [score.greedy for score in scores] == [True, False]


def test_every_text_has_a_context():
    with pytest.raises(UserError, match="every text has a context, got 1 texts and 2 contexts"):
        score_continuations(MODEL, PARAMS, [np.array([1])], [0, 0], END)
