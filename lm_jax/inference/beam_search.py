"""Beam search: the most probable continuations of a prompt, over any language model.

K hypotheses are extended by one token at a time; of their K * V extensions the K best are kept, by

    score = log P(tokens) / length^alpha            alpha = length_penalty: 0 for none, 1 for the mean per token

A hypothesis is finished at an end-of-line token; it stays in the beam as it is and competes by its score. Width 1 is
greedy search; a width of V^T is exhaustive.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from lm_jax.errors import UserError, check_sizes
from lm_jax.inference.generation import bucket_of, read_prompt
from lm_jax.models.language_model import LanguageModel
from lm_jax.types import Carry, Params


class Beams(NamedTuple):
    """Hypotheses, best first. tokens [K, T], padded after the end; lengths [K] with the end; log_probs in nats [K]."""

    tokens: Int[Array, "K T"]
    lengths: Int[Array, "K"]
    log_probs: Float[Array, "K"]
    finished: Bool[Array, "K"]

    def scores(self, length_penalty: float) -> Float[Array, "K"]:
        """Returns the scores by which the beams are ranked."""
        return normalised(self.log_probs, self.lengths, length_penalty)


def normalised(log_probs: Array, lengths: Array, length_penalty: float) -> Array:
    """Returns log P / length^length_penalty; an empty hypothesis counts as of length 1."""
    return log_probs / jnp.maximum(lengths, 1).astype(jnp.float32) ** length_penalty


def beam_search(
    model: LanguageModel,
    params: Params,
    prompt: np.ndarray,
    max_tokens: int,
    *,
    eol_id: int,
    beam_size: int = 5,
    length_penalty: float = 0.0,
) -> Beams:
    """Returns the best continuations of a prompt (ids int [P], may be empty) that end a line or reach max_tokens.

    Raises UserError for sizes below 1 or a length penalty below 0.
    """
    check_sizes(max_tokens=max_tokens, beam_size=beam_size)
    if not 0 <= length_penalty < float("inf"):
        raise UserError(f"length_penalty must be at least 0, got {length_penalty!r}", ["length_penalty"])
    carry, token = read_prompt(model, params, prompt, eol_id, beam_size)
    search = _jitted_search(model, bucket_of(max_tokens), eol_id, beam_size, length_penalty)
    beams = jax.tree.map(np.asarray, search(params, carry, token, max_tokens))
    return beams._replace(tokens=beams.tokens[:, :max_tokens])


@functools.cache
def _jitted_search(model, most_tokens, eol_id, beam_size, length_penalty):
    def search(params, carry, token, max_tokens):
        def body(position, state):
            carry, token, beams = state
            carry, logits = model.step(params, carry, token)
            return _select(carry, beams, jax.nn.log_softmax(logits), position, eol_id, length_penalty)

        start = (carry, token, _init_beams(beam_size, most_tokens, eol_id))
        _, _, beams = jax.lax.fori_loop(0, max_tokens, body, start)
        return jax.tree.map(lambda leaf: leaf[jnp.argsort(-beams.scores(length_penalty), stable=True)], beams)

    return jax.jit(search)


def _init_beams(beam_size: int, max_tokens: int, eol_id: int) -> Beams:
    """Makes one empty hypothesis; the others are impossible, so that the first step extends only the one."""
    return Beams(
        tokens=jnp.full((beam_size, max_tokens), eol_id, jnp.int32),
        lengths=jnp.zeros((beam_size,), jnp.int32),
        log_probs=jnp.where(jnp.arange(beam_size) == 0, 0.0, -jnp.inf),
        finished=jnp.zeros((beam_size,), bool),
    )


def _select(
    carry: Carry, beams: Beams, log_probs: Array, position: Array, eol_id: int, length_penalty: float
) -> tuple[Carry, Array, Beams]:
    """Returns the K best extensions of all beams by one token: log_probs [K, V] of the next token."""
    vocab_size = log_probs.shape[-1]
    # A finished hypothesis has one extension: itself, written as one more end-of-line token that costs nothing.
    stays = jnp.where(jnp.arange(vocab_size) == eol_id, 0.0, -jnp.inf)
    extended = beams.log_probs[:, None] + jnp.where(beams.finished[:, None], stays, log_probs)
    lengths = jnp.where(beams.finished, beams.lengths, position + 1)
    ranking = normalised(extended, lengths[:, None], length_penalty).reshape(-1)
    _, best = jax.lax.top_k(ranking, len(lengths))
    parent, token = best // vocab_size, (best % vocab_size).astype(jnp.int32)
    new = Beams(
        tokens=beams.tokens[parent].at[:, position].set(token),
        lengths=lengths[parent],
        log_probs=extended.reshape(-1)[best],
        finished=beams.finished[parent] | (token == eol_id),
    )
    return jax.tree.map(lambda leaf: leaf[parent], carry), token, new
