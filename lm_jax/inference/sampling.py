"""Choosing the next token from logits: greedy, temperature, top-k, top-p; by inverting the cumulative distribution.

A token is drawn in two levels, a block of the vocabulary and then a token of the block, each with a uniform of its
own. One cumulative sum over a large vocabulary would be slower, and in float32 too coarse: a uniform of 23 bits
cannot tell apart tokens of probability 1e-8, of which a vocabulary of 33,000 has many.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from lm_jax.errors import UserError
from lm_jax.types import Key


BLOCK = 256
COLDEST, HOTTEST = 1.2e-38, 1e37  # beyond, a temperature or its inverse is 0 or inf in float32, and 0 / 0 no number


class SamplerForm(NamedTuple):
    """What of a sampler decides which program is compiled.

    candidates: the power of two that top_k is at most, how many tokens are sorted; None where there is no top_k.
    nucleus: whether there is a top_p.
    """

    greedy: bool
    candidates: int | None
    nucleus: bool


class SamplerNumbers(NamedTuple):
    """The numbers of a sampler, which a compiled program takes as arguments: a slider may move without compiling."""

    temperature: Any
    top_k: Any
    top_p: Any


@dataclasses.dataclass(frozen=True)
class Sampler:
    """A rule to choose a token.

    greedy: the most likely one (the lowest id of equals); the other settings do not matter then.
    temperature: logits are divided by it; above 0. top_k: only the k most likely tokens. top_p: of these only the
    smallest set, most likely first, whose probability reaches p (Holtzman et al. 2020).
    Raises UserError for a value out of range.
    """

    greedy: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self):
        if not 0 < self.temperature < float("inf"):
            raise UserError(
                f"temperature must be above 0, got {self.temperature!r}; for the most likely token use greedy",
                ("temperature", "greedy"),
            )
        if self.top_k is not None and self.top_k < 1:
            raise UserError(f"top_k must be at least 1, got {self.top_k!r}", ["top_k"])
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, got {self.top_p!r}", ["top_p"])

    @property
    def form(self) -> SamplerForm:
        """What decides the program."""
        candidates = None if self.top_k is None else 1 << (self.top_k - 1).bit_length()
        return SamplerForm(self.greedy, candidates, self.top_p is not None)

    @property
    def numbers(self) -> SamplerNumbers:
        """What the program takes; a temperature within the range of float32."""
        temperature = np.float32(min(max(self.temperature, COLDEST), HOTTEST))
        top_k = min(self.top_k or 1, np.iinfo(np.int32).max)
        return SamplerNumbers(temperature, np.int32(top_k), np.float32(1 if self.top_p is None else self.top_p))

    def __call__(self, key: Key, logits: Float[Array, "*B V"]) -> Int[Array, "*B"]:
        """Draws one token for each row."""
        return choose(self.form, self.numbers, key, logits)


def choose(form: SamplerForm, numbers: SamplerNumbers, key: Key, logits: Float[Array, "*B V"]) -> Int[Array, "*B"]:
    """Draws one token for each row, as the sampler of this form and these numbers.

    Args:
        form: Static under `jax.jit`.
        numbers: May be traced.
        key: Made by jax.random.key.
        logits: Of the next token.
    """
    if form.greedy:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    logits = (logits - jnp.max(logits, axis=-1, keepdims=True)) / numbers.temperature  # no overflow near 0
    if form.candidates is None and not form.nucleus:
        return draw(key, jax.nn.softmax(logits))
    size = logits.shape[-1]
    candidates, ids = jax.lax.top_k(logits, min(form.candidates or size, size))
    if form.candidates is not None:
        candidates = jnp.where(jnp.arange(candidates.shape[-1]) < numbers.top_k, candidates, -jnp.inf)
    probs = jax.nn.softmax(candidates)
    if form.nucleus:
        before = jnp.cumsum(probs, axis=-1) - probs
        probs = jnp.where((before < numbers.top_p).at[..., 0].set(True), probs, 0.0)
    choice = draw(key, probs)
    return jnp.take_along_axis(ids, choice[..., None], axis=-1)[..., 0].astype(jnp.int32)


def draw(key: Key, weights: Float[Array, "*B V"]) -> Int[Array, "*B"]:
    """Draws an index with probability proportional to its weight (at least one weight is positive);
    never one of weight 0."""
    size = weights.shape[-1]
    key_block, key_token = jax.random.split(key)
    blocks = -(-size // BLOCK)
    padded = jnp.pad(weights, [(0, 0)] * (weights.ndim - 1) + [(0, blocks * BLOCK - size)])
    grid = padded.reshape(*weights.shape[:-1], blocks, BLOCK)
    block = _invert(key_block, grid.sum(axis=-1))
    row = jnp.take_along_axis(grid, block[..., None, None], axis=-2)[..., 0, :]
    return jnp.minimum(block * BLOCK + _invert(key_token, row), size - 1)  # where no weight is a number, still a token


def _invert(key, weights):
    """Returns the first index whose cumulative weight exceeds u times the total, among those of positive weight."""
    cumulative = jnp.cumsum(weights, axis=-1)
    u = jax.random.uniform(key, weights.shape[:-1], weights.dtype)
    beyond = (cumulative > (u * cumulative[..., -1])[..., None]) & (weights > 0)
    # rounding may leave nothing beyond u * total when u is close to 1: then the last index of positive weight
    last = weights.shape[-1] - 1 - jnp.argmax(jnp.flip(weights > 0, axis=-1), axis=-1)
    return jnp.where(beyond.any(axis=-1), jnp.argmax(beyond, axis=-1), last).astype(jnp.int32)
