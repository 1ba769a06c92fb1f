"""An n-gram model behind the LanguageModel contract: scored for a whole text at once, stepped for generation.

The carry is the state of `query`: int32 [*B, n - 1], the rows of the last 1 .. n - 1 words in the tables. The
parameters come from an estimator (`estimate`); `init` gives the uniform model.
"""

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.caching import cached
from lm_jax.cells.base import select
from lm_jax.errors import check_sizes
from lm_jax.models.language_model import LanguageModel, masked_log_probs, step_of
from lm_jax.models.ngram import query
from lm_jax.models.ngram.counts import BEFORE, NGrams
from lm_jax.models.ngram.tables import BackoffParams, build_tables


BLOCK = 256  # continuations of a context that are written at once


@cached
def ngram_lm(order: int, vocab_size: int, eol_id: int) -> LanguageModel:
    """Makes the language model of back-off tables. It is deterministic: keys are ignored.

    Args:
        order: n, the order of the tables.
        vocab_size: V, vocabulary entries.
        eol_id: the token after which the context is the start of a line.

    Returns:
        The language model.
    """
    check_sizes(order=order, vocab_size=vocab_size)

    def init(key):
        del key
        return uniform_params(order, vocab_size)

    def initial_carry(params, batch_shape):
        del params
        return jnp.full((*batch_shape, order - 1), BEFORE, jnp.int32)

    def read(params, carry, tokens, mask, reset):
        states = _states(params, carry, tokens, mask, reset, eol_id)
        if mask is None:
            return states[-1], states
        last = _last_read(tokens, mask)[-1]
        at_last = jnp.take_along_axis(states, jnp.maximum(last, 0)[None, ..., None], axis=0)[0]
        return select(last >= 0, at_last, carry), states

    def unroll(params, carry, tokens, *, mask=None, reset=None, key=None):
        del key
        carry, states = read(params, carry, tokens, mask, reset)
        return carry, next_log_probs(params, states)

    def score(params, carry, inputs, targets, *, mask=None, reset=None, key=None):
        del key
        carry, states = read(params, carry, inputs, mask, reset)
        context = [states[..., k] for k in range(order - 1)]
        log_probs = query.log_prob(params, context, query.extend(params, context, targets))
        return carry, masked_log_probs(log_probs, mask)

    return LanguageModel(init, initial_carry, step_of(unroll), unroll, score, vocab_size)


def _states(params, carry, tokens, mask, reset, eol_id):
    """Returns the state after each token [T, *B, n - 1]: all time steps at once, order by order instead."""
    if params.order == 1:
        return jnp.zeros((*tokens.shape, 0), jnp.int32)
    last = _last_read(tokens, mask)
    source = jnp.concatenate(
        [jnp.full_like(last[:1], -1), last[:-1]]
    )  # whose state a step starts from; -1: the carry's
    states = [tokens.astype(jnp.int32)]
    for k in range(1, params.order - 1):
        before = jnp.take_along_axis(states[-1], jnp.maximum(source, 0), axis=0)
        before = jnp.where(source >= 0, before, carry[..., k - 1])
        before = before if reset is None else jnp.where(reset, BEFORE, before)
        rows = query.find_child(params, k, before, tokens)
        states.append(jnp.where(tokens == eol_id, BEFORE, rows))  # after the end of a line only <s> is left
    return jnp.stack(states, axis=-1)


def _last_read(tokens, mask):
    """Returns for each step the last one up to it that was not masked; -1 for none. int32 [T, *B]."""
    times = jnp.arange(tokens.shape[0], dtype=jnp.int32).reshape(-1, *[1] * (tokens.ndim - 1))
    read = jnp.broadcast_to(times, tokens.shape)
    return jax.lax.cummax(read if mask is None else jnp.where(mask, read, -1), axis=0)


@jax.jit
def next_log_probs(params: BackoffParams, states: jax.Array) -> jax.Array:
    """Returns log P of every next word, [*N, V], after the states [*N, n - 1].

    From the unigrams up: a longer context scales everything by its back-off weight, then writes the words that
    follow it, a block at a time.
    """
    if params.order == 1:
        return jnp.broadcast_to(params.log_prob[0], (*states.shape[:-1], len(params.log_prob[0])))

    def of_state(state):
        result = params.log_prob[0]
        for k in range(1, params.order):
            result = _overlay(params, k, state[k - 1], result)
        return result

    flat = jax.lax.map(of_state, states.reshape(-1, states.shape[-1]))
    return flat.reshape(*states.shape[:-1], -1)


def _overlay(params, k, row, log_probs):
    """Returns the distribution after the context `row` of order k, from that after the context
    without its first word."""
    safe = jnp.maximum(row, 0)
    start, end = params.child_start[k - 1][safe], params.child_start[k - 1][safe + 1]
    end = jnp.where(row >= 0, end, start)
    scaled = log_probs + query.backoff_weight(params, k, row)

    def write(block, result):
        at = start + block * BLOCK + jnp.arange(BLOCK)
        inside = jnp.minimum(at, len(params.words[k]) - 1)
        words = jnp.where(at < end, params.words[k][inside], len(result))
        return result.at[words].set(params.log_prob[k][inside], mode="drop")

    return jax.lax.fori_loop(0, (end - start + BLOCK - 1) // BLOCK, write, scaled)


def uniform_params(order: int, vocab_size: int) -> BackoffParams:
    """Tables without n-grams: every word has probability 1 / V."""
    none = np.zeros(0, np.int32)
    zeros = np.zeros(vocab_size, np.int32)
    unigrams = NGrams(np.arange(vocab_size, dtype=np.int32), zeros, zeros, zeros, none)
    tables = [unigrams, *[NGrams(none, none, none, none, none)] * (order - 1)]
    log_probs = [np.full(len(table.words), -np.log(vocab_size)) for table in tables]
    return build_tables(tables, log_probs, [np.zeros(len(table.words)) for table in tables[:-1]])
