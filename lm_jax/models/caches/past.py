"""The steps that a cache looks back on: the window of the last steps, before and within a chunk, for all steps at once.

A cache carries a window of the W steps before a chunk of T, oldest first, with EMPTY where there were none. Every step
of the chunk sees some of the J = W + T steps of window and chunk together: those that are as old as its cache reaches,
were not masked, and came after the last reset. So a chunk is scored in a few operations over [T, *B, J], without a loop
over time. Here T, B, V as in lm_jax/types.py; W is the window and J what is seen of window and chunk.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from lm_jax.types import Mask, Tokens


EMPTY = -1  # a token that is not there
UNSEEN = -1  # an age that no step has


class Past(NamedTuple):
    """The steps that a chunk looks back on.

    tokens     int32 [*B, J]: the token read at each step, EMPTY for none
    following  int32 [*B, J]: the token of the next step that was not masked
    age        int32 [T, *B, J]: how many steps a step of the chunk looks back to see it (0: itself), UNSEEN if it
               does not
    last       int32 [*B, W]: which of the J steps are the window after the chunk
    fresh      bool [*B, W]: which of these came after the last reset
    """

    tokens: Int[Array, "*B J"]
    following: Int[Array, "*B J"]
    age: Int[Array, "T *B J"]
    last: Int[Array, "*B W"]
    fresh: Bool[Array, "*B W"]

    def window(self, values: Array, empty: float) -> Array:
        """Returns the window [*B, W, ...] after the chunk, of the values [*B, J, ...] of all steps;
        `empty` where none is."""
        further = (1,) * (values.ndim - self.last.ndim)
        taken = jnp.take_along_axis(values, self.last.reshape(self.last.shape + further), axis=self.last.ndim - 1)
        return jnp.where(self.fresh.reshape(self.fresh.shape + further), taken, empty)


def look_back(window: Int[Array, "*B W"], tokens: Tokens, mask: Mask | None, reset: Mask | None) -> Past:
    """Finds what each step of a chunk sees.

    Args:
        window: The W tokens before the chunk, the newest last.
        tokens: The tokens of the chunk, [T, *B].
        mask: Bool [T, *B], False where a step is left out; None for none.
        reset: Bool [T, *B], True where nothing before the step is seen; None for none.
    """
    size, axis = window.shape[-1], window.ndim - 1
    tokens = jnp.concatenate([window, jnp.moveaxis(tokens, 0, -1).astype(jnp.int32)], axis=-1)
    unmasked = _over_all(window, mask, tokens.shape, outside=True)
    restarts = unmasked & _over_all(window, reset, tokens.shape, outside=False, absent=False)
    rank, segment = jnp.cumsum(unmasked, axis=axis, dtype=jnp.int32), jnp.cumsum(restarts, axis=axis, dtype=jnp.int32)

    def of_chunk(values):
        return jnp.moveaxis(values[..., size:], -1, 0)[..., None]

    age = of_chunk(rank) - rank  # of a step that is masked or later it means nothing, or is below 0
    seen = unmasked & (tokens >= 0) & (segment == of_chunk(segment)) & (age >= 0)

    steps = jnp.broadcast_to(jnp.arange(tokens.shape[-1], dtype=jnp.int32), tokens.shape)
    end = tokens.shape[-1] - 1
    after = jnp.where(unmasked, steps, end)[..., 1:]
    after = jax.lax.cummin(jnp.concatenate([after, steps[..., -1:]], axis=-1), axis=axis, reverse=True)

    # a stable sort by the mask leaves the unmasked steps last, in their order
    last = (steps if mask is None else jnp.argsort(unmasked, axis=-1, stable=True).astype(jnp.int32))[..., -size:]
    fresh = jnp.take_along_axis(segment, last, axis=-1) == segment[..., -1:]
    following = jnp.take_along_axis(tokens, after, axis=-1)
    return Past(tokens, following, jnp.where(seen, age, UNSEEN), last, fresh)


def _over_all(window, switch, shape, outside, absent=True):
    """Returns a mask or resets [T, *B] as [*B, J]:
    `outside` for the steps of the window, `absent` where there is no switch."""
    if switch is None:
        return jnp.full(shape, absent)
    inside = jnp.moveaxis(jnp.asarray(switch, bool), 0, -1)
    return jnp.concatenate([jnp.full(window.shape, outside), inside], axis=-1)


def sum_by_word(weights: Float[Array, "T *B J"], words: Int[Array, "*B J"], vocab_size: int) -> Float[Array, "T *B V"]:
    """Adds up the weights of equal words.

    Args:
        weights: The weight of each place J that is looked back on; 0 for a word that is EMPTY.
        words: The word of each place.
        vocab_size: V.
    """

    def sum_in_row(weights, words):
        return jnp.zeros(vocab_size, weights.dtype).at[jnp.maximum(words, 0)].add(weights)

    flat = words.reshape(-1, words.shape[-1])
    rows = jax.vmap(jax.vmap(sum_in_row), in_axes=(0, None))(weights.reshape(len(weights), *flat.shape), flat)
    return rows.reshape(*weights.shape[:-1], vocab_size)
