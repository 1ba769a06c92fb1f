"""The most likely next tokens after a prompt: predictive typing."""

import functools

import jax
import numpy as np

from lm_jax.errors import check_sizes
from lm_jax.inference.generation import read_prompt
from lm_jax.models.language_model import LanguageModel
from lm_jax.types import Params


def complete(
    model: LanguageModel, params: Params, prompt: np.ndarray, k: int, *, eol_id: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k most likely tokens after a prompt (ids int [P]), most likely first, and their probabilities; [k] both."""
    check_sizes(k=k)
    carry, token = read_prompt(model, params, prompt, eol_id, 1)
    probs, ids = _jitted_next(model, min(k, model.vocab_size))(params, carry, token)
    return np.asarray(ids[0]), np.asarray(probs[0])


@functools.cache
def _jitted_next(model, k):
    def next_tokens(params, carry, token):
        _, logits = model.step(params, carry, token)
        return jax.lax.top_k(jax.nn.softmax(logits), k)

    return jax.jit(next_tokens)
