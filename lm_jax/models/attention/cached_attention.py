"""Causal attention over the last W steps, itself included, whose earlier keys and values come from a cache.

    a_t = sum_s softmax_s( <R_t q_t, R_s k_s> / sqrt(D) ) v_s        t - W < s <= t        [D] for each of N heads

R are rotary positions (rotary.py), N heads of queries share G of keys and values, N / G each (Ainslie et al. 2023,
arXiv:2305.13245; G = 1: Shazeer 2019). A step that was masked is no step: it is nobody's s, and t does not count it;
what came before a reset is not seen. The cache holds the last W - 1 keys, not turned yet, and values, so that a chunk
of T steps sees J = W - 1 + T of them, and a text in chunks is the text in one.

A long chunk goes through in pieces of W steps (at least PIECE), each with the cache of the one before: memory for the
weights of attention is [T, *B, N, W + piece], linear in T.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lm_jax.cells.varying import same_axes
from lm_jax.models.attention.rotary import rotate
from lm_jax.models.caches.past import EMPTY, look_back
from lm_jax.types import Mask


PIECE = 64  # steps: fewer at once are no faster


class KeyValueCache(NamedTuple):
    """Keys and values of the last P = W - 1 steps, the oldest first, and how many of them were filled, from the end."""

    keys: Float[Array, "*B P G D"]
    values: Float[Array, "*B P G D"]
    filled: Int[Array, "*B"]


class Heads(NamedTuple):
    """What the steps of a chunk ask for, are found by, and give; N is a multiple of G."""

    queries: Float[Array, "T *B N D"]
    keys: Float[Array, "T *B G D"]
    values: Float[Array, "T *B G D"]


def empty_cache(batch_shape: tuple[int, ...], steps: int, heads: int, size: int, dtype) -> KeyValueCache:
    """Makes the cache before the first step.

    Args:
        batch_shape: *B.
        steps: W - 1, that it holds.
        heads: G, of keys and values.
        size: D, of a head.
        dtype: The type of keys and values.
    """
    keys, values = (jnp.zeros((*batch_shape, steps, heads, size), dtype) for _ in range(2))
    return KeyValueCache(keys, values, jnp.zeros(batch_shape, jnp.int32))


def cached_attention(
    cache: KeyValueCache, heads: Heads, mask: Mask | None, reset: Mask | None, compute_dtype: str | None = None
) -> tuple[KeyValueCache, Float[Array, "T *B N D"]]:
    """Attends from every step of a chunk.

    Args:
        cache: The steps before the chunk.
        heads: Queries, keys and values of the chunk.
        mask: False is no step, [T, *B].
        reset: True does not see what came before, if it is not masked, [T, *B].
        compute_dtype: The type of the operands of products, which are summed in at least float32; so is the softmax.

    Returns:
        The cache after the chunk, and the answers [T, *B, N, D]; at a masked step they mean nothing.
    """
    steps, piece = len(heads.queries), max(PIECE, cache.keys.shape[-3] + 1)
    if steps <= 2 * piece:
        return _attend(cache, heads, mask, reset, compute_dtype)
    pieces = -(-steps // piece)
    if pieces * piece > steps and mask is None:
        mask = jnp.ones(heads.queries.shape[:-2], bool)

    def cut(array):
        padding = [(0, pieces * piece - steps)] + [(0, 0)] * (array.ndim - 1)
        return jnp.pad(array, padding).reshape(pieces, piece, *array.shape[1:])

    operands = jax.tree.map(cut, (heads, mask, reset))
    cache, operands = same_axes(cache, operands)

    def attend(cache, operands):
        heads, mask, reset = operands
        return _attend(cache, heads, mask, reset, compute_dtype)

    cache, answers = jax.lax.scan(attend, cache, operands)
    return cache, answers.reshape(-1, *answers.shape[2:])[:steps]


def _attend(cache, heads, mask, reset, compute_dtype):
    before, steps = cache.keys.shape[-3], len(heads.queries)
    slots = jnp.arange(before, dtype=jnp.int32)
    present = jnp.where(slots >= before - cache.filled[..., None], 0, EMPTY)
    past = look_back(present, jnp.zeros(heads.queries.shape[:-2], jnp.int32), mask, reset)
    keys, values = (
        jnp.concatenate([old, jnp.moveaxis(new, 0, -3)], axis=-3)
        for old, new in ((cache.keys, heads.keys), (cache.values, heads.values))
    )
    taken = past.window(past.tokens, EMPTY)
    after = KeyValueCache(
        past.window(keys, 0.0), past.window(values, 0.0), jnp.sum(taken != EMPTY, axis=-1, dtype=jnp.int32)
    )
    # a step sees itself; so does a masked one, which otherwise may see nothing
    itself = jnp.arange(before + steps) == before + jnp.arange(steps).reshape(steps, *(1,) * (keys.ndim - 2))
    seen = itself | ((past.age >= 0) & (past.age <= before))
    ranks = _ranks(mask, keys.shape[:-2], before)
    places = jnp.moveaxis(ranks[..., before:], -1, 0)
    queries = rotate(heads.queries, places, before + steps)
    return after, _answers(queries, rotate(keys, ranks, before + steps), values, seen, compute_dtype)


def _ranks(mask, shape, before):
    """Returns the position [*B, J] of every step: masked ones are not counted."""
    if mask is None:
        return jnp.broadcast_to(jnp.arange(shape[-1], dtype=jnp.int32), shape)
    counted = jnp.cumsum(jnp.moveaxis(jnp.asarray(mask, bool), 0, -1), axis=-1, dtype=jnp.int32)
    cached = jnp.broadcast_to(jnp.arange(before, dtype=jnp.int32), (*shape[:-1], before))
    return jnp.concatenate([cached, before - 1 + counted], axis=-1)


def _answers(queries, keys, values, seen, compute_dtype):
    """Queries [T, *B, N, D], keys and values [*B, J, G, D], seen [T, *B, J] to answers [T, *B, N, D]."""
    groups, size = keys.shape[-2:]
    accumulate = jnp.promote_types(keys.dtype, jnp.float32)
    queries, keys, values = (a.astype(compute_dtype or a.dtype) for a in (queries, keys, values))
    # [*B, G, N / G, T, D] and [*B, G, J, D]: one product a head of keys
    queries = jnp.moveaxis(queries.reshape(*queries.shape[:-2], groups, -1, size), 0, -2)
    keys, values = (jnp.moveaxis(a, -3, -2) for a in (keys, values))
    scores = jnp.einsum("...gntd,...gjd->...gntj", queries, keys, preferred_element_type=accumulate) / size**0.5
    seen = jnp.moveaxis(seen, 0, -2)[..., None, None, :, :]
    weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf)).astype(values.dtype)  # a step sees at least itself
    answers = jnp.einsum("...gntj,...gjd->...gntd", weights, values, preferred_element_type=accumulate)
    answers = jnp.moveaxis(answers, -2, 0)
    return answers.reshape(*answers.shape[:-3], -1, size)
