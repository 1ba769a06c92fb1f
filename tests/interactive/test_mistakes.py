"""Mistakes in a script: one line that says what is wanted, what was given, and what to do."""

import jax
import numpy as np
import pytest

import lm_jax
from lm_jax import UserError, cells, inference, models
from lm_jax.interop import language_model_from_torch, params_from_torch, save_safetensors


MODEL = models.recurrent_lm(5, cells.gru(2, 3))
PARAMS = MODEL.init(jax.random.key(0))
KEY = jax.random.key(1)
IDS = np.array([1, 2])


class Module:
    def state_dict(self):
        return {}


def generate(prompt=IDS, key=KEY):
    return inference.generate(MODEL, PARAMS, prompt, 3, key, eol_id=0)


TEXT = "prompt must be ids, got the text 'The '; give vocabulary.encode"
MISTAKES = [
    (lambda: generate("The "), TEXT),
    (lambda: inference.next_tokens(MODEL, PARAMS, "The ", 3, eol_id=0), TEXT),
    (lambda: inference.beam_search(MODEL, PARAMS, "The ", 3, eol_id=0), TEXT),
    (lambda: inference.likelihood(MODEL, PARAMS, "The ", 0), "tokens must be ids, got the text 'The '"),
    (lambda: generate([[1]]), r"whole numbers in one row, got int64 \[1, 1\]"),
    (lambda: generate([0.5]), r"whole numbers in one row, got float64 \[1\]"),
    (lambda: generate(key=7), r"key must be a key of JAX, got 7; give jax.random.key\(7\)"),
    (lambda: inference.free_running_loss(MODEL, PARAMS, [IDS], 1, None, eol_id=0), "a key of JAX, got None"),
    (lambda: lm_jax.generate(MODEL, PARAMS, "The "), "the folder of a run, .*, got a LanguageModel; models"),
    (lambda: lm_jax.evaluate(3), "run must be the folder of a run, .*, got a int"),
    (lambda: save_safetensors("a", {"w": np.zeros(9)}), r"takes \(tensors, path\), as .*, got str and dict"),
    (lambda: save_safetensors(np.zeros(3), "a.safetensors"), "tensors must be tensors by name, got a ndarray"),
    (lambda: language_model_from_torch("lm.safetensors"), r"got the path 'lm.safetensors'; read it: load_safetensors"),
    (lambda: language_model_from_torch(Module()), r"got a Module; give its state_dict\(\)"),
    (lambda: params_from_torch(cells.gru(2, 3), "x.pt"), "state_dict must be tensors by name, got the path 'x.pt'"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_a_mistake_is_one_line(mistake, message):
    with pytest.raises(UserError, match=message) as caught:
        mistake()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_what_is_no_mistake():
    raw = generate([], jax.random.PRNGKey(0))
    assert raw.shape == (3, 1) and (raw == generate(np.zeros(0, int), jax.random.key(0))).all()
