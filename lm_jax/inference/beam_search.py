"""Beam search: the most probable continuations of a prompt, over any language model.

K hypotheses are extended by one token at a time; of their K * V extensions the K best are kept, by

    score = log P(tokens) / length^alpha + bonus       alpha = length_penalty: 0 for none, 1 for the mean per token

where the bonus, at most 0, is what a model says of what a hypothesis has read: for a translator how little of the
source it has covered. A hypothesis is finished at an end-of-line token; it stays in the beam as it is and competes by
its score. Hypotheses that are still growing may push it out and then turn out worse, so that the K best finished ones
are remembered besides. Width 1 is greedy search; a width of V^T is exhaustive.

The search stops where no growing hypothesis can come among the K best any more: log P can only fall, so its score stays
at or below log P / longest^alpha. So stopping loses nothing that longer search would find.
"""

import functools
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from lm_jax.errors import UserError, check_sizes
from lm_jax.inference.generation import bucket_of, read_prompt
from lm_jax.models.language_model import LanguageModel
from lm_jax.short_repr import shortly_shown
from lm_jax.types import Carry, Params


BonusFn = Callable[[Params, Carry], Float[Array, "K"]]  # at most 0, of the carry after reading a hypothesis
SearchFn = Callable[[Params, Carry, Any, Any], "Beams"]  # (params, carry, token [K], max_tokens) -> Beams


@shortly_shown
class Beams(NamedTuple):
    """Hypotheses, best first. tokens [K, T], padded after the end; lengths [K] with the end; log_probs in nats [K];
    bonuses [K], what their scores have beside log_probs."""

    tokens: Int[Array, "K T"]
    lengths: Int[Array, "K"]
    log_probs: Float[Array, "K"]
    finished: Bool[Array, "K"]
    bonuses: Float[Array, "K"]

    def scores(self, length_penalty: float) -> Float[Array, "K"]:
        """Returns the scores by which the beams are ranked."""
        return normalised(self.log_probs, self.lengths, length_penalty) + self.bonuses


def normalised(log_probs: Array, lengths: Array, length_penalty: float) -> Array:
    """Returns log P / length^length_penalty; an empty hypothesis counts as of length 1.

    Args:
        log_probs: log P of hypotheses, in nats.
        lengths: Their lengths in tokens.
        length_penalty: The exponent; 0 leaves log P as it is.
    """
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
    """Searches the most probable continuations of a prompt that end a line or reach max_tokens.

    Args:
        model: any language model.
        params: its parameters.
        prompt: ids int [P]; may be empty.
        max_tokens: the longest continuation.
        eol_id: the end-of-line token.
        beam_size: number of hypotheses K.
        length_penalty: alpha; hypotheses are ranked by log P / length^alpha.

    Returns:
        The K best hypotheses, best first.

    Raises:
        UserError: for sizes below 1 or a length penalty below 0.
    """
    check_sizes(max_tokens=max_tokens)
    check_search(beam_size, length_penalty)
    carry, token = read_prompt(model, params, prompt, eol_id, beam_size)
    search = _jitted_search(model, bucket_of(max_tokens), eol_id, beam_size, length_penalty)
    beams = jax.tree.map(np.asarray, search(params, carry, token, max_tokens))
    return beams._replace(tokens=beams.tokens[:, :max_tokens])


def check_search(beam_size: int, length_penalty: float) -> None:
    """Raises UserError for a beam below 1 or a length penalty below 0."""
    check_sizes(beam_size=beam_size)
    if not isinstance(length_penalty, numbers.Real) or not 0 <= length_penalty < float("inf"):
        raise UserError(f"length_penalty must be at least 0, got {length_penalty!r}", ["length_penalty"])


@functools.cache
def _jitted_search(model, most_tokens, eol_id, beam_size, length_penalty):
    return jax.jit(build_search(model, most_tokens, eol_id, beam_size, length_penalty))


def build_search(
    model: LanguageModel,
    most_tokens: int,
    eol_id: int,
    beam_size: int,
    length_penalty: float,
    bonus: BonusFn | None = None,
) -> SearchFn:
    """Makes the search from a carry and the next token: a function for `jax.jit`, and for `jax.vmap` over sources.

    Args:
        model: any language model.
        most_tokens: the length of `Beams.tokens`.
        eol_id: the token that ends a hypothesis.
        beam_size: K.
        length_penalty: alpha.
        bonus: (params, carry) -> what the scores of hypotheses have besides, at most 0 [K]; default: nothing.
    """

    def search(params, carry, token, max_tokens):
        def body(state):
            position, carry, token, beams, pool = state
            carry, logits = model.step(params, carry, token)
            bonuses = jnp.zeros((beam_size,)) if bonus is None else bonus(params, carry)
            log_probs = jax.nn.log_softmax(logits)
            parents = beams
            carry, token, parent, beams = _select(carry, beams, log_probs, position, eol_id, length_penalty, bonuses)
            ended_now = beams.finished & ~parents.finished[parent]
            return position + 1, carry, token, beams, _best(pool, _only(ended_now, beams), beam_size, length_penalty)

        def may_improve(state):
            position, _, _, beams, pool = state
            most = normalised(beams.log_probs, jnp.full((beam_size,), max_tokens), length_penalty)
            worst = jnp.min(pool.scores(length_penalty))
            return (position < max_tokens) & jnp.any(~beams.finished & (most > worst))

        beams = _init_beams(beam_size, most_tokens, eol_id)
        pool = _only(jnp.zeros((beam_size,), bool), beams)
        start = (jnp.zeros((), jnp.int32), carry, token, beams, pool)
        *_, beams, pool = jax.lax.while_loop(may_improve, body, start)
        return _best(pool, _only(~beams.finished, beams), beam_size, length_penalty)

    return search


def _init_beams(beam_size: int, max_tokens: int, eol_id: int) -> Beams:
    """Makes one empty hypothesis; the others are impossible, so that the first step extends only the one."""
    return Beams(
        tokens=jnp.full((beam_size, max_tokens), eol_id, jnp.int32),
        lengths=jnp.zeros((beam_size,), jnp.int32),
        log_probs=jnp.where(jnp.arange(beam_size) == 0, 0.0, -jnp.inf),
        finished=jnp.zeros((beam_size,), bool),
        bonuses=jnp.zeros((beam_size,)),
    )


def _only(chosen: Bool[Array, "K"], beams: Beams) -> Beams:
    """Returns the beams with the probability 0 for all but the chosen ones."""
    return beams._replace(log_probs=jnp.where(chosen, beams.log_probs, -jnp.inf))


def _best(pool: Beams, more: Beams, beam_size: int, length_penalty: float) -> Beams:
    """Returns the best of two sets of hypotheses, best first; of equals those of the first."""
    both = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), pool, more)
    _, best = jax.lax.top_k(both.scores(length_penalty), beam_size)
    return jax.tree.map(lambda leaf: leaf[best], both)


def _select(
    carry: Carry,
    beams: Beams,
    log_probs: Array,
    position: Array,
    eol_id: int,
    length_penalty: float,
    bonuses: Float[Array, "K"],
) -> tuple[Carry, Array, Array, Beams]:
    """Returns the K best extensions of all beams by one token, and the beam that each is from.

    log_probs: [K, V] of the next token. bonuses: of the beams that are not finished, now that they have read so far.
    """
    vocab_size = log_probs.shape[-1]
    # A finished hypothesis has one extension: itself, written as one more end-of-line token that costs nothing.
    stays = jnp.where(jnp.arange(vocab_size) == eol_id, 0.0, -jnp.inf)
    extended = beams.log_probs[:, None] + jnp.where(beams.finished[:, None], stays, log_probs)
    lengths = jnp.where(beams.finished, beams.lengths, position + 1)
    bonuses = jnp.where(beams.finished, beams.bonuses, bonuses)
    ranking = normalised(extended, lengths[:, None], length_penalty) + bonuses[:, None]
    _, best = jax.lax.top_k(ranking.reshape(-1), len(lengths))
    parent, token = best // vocab_size, (best % vocab_size).astype(jnp.int32)
    new = Beams(
        tokens=beams.tokens[parent].at[:, position].set(token),
        lengths=lengths[parent],
        log_probs=extended.reshape(-1)[best],
        finished=beams.finished[parent] | (token == eol_id),
        bonuses=bonuses[parent],
    )
    return jax.tree.map(lambda leaf: leaf[parent], carry), token, parent, new
