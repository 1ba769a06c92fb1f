"""The `chunkwise` engine: a memory that is a matrix, some tens of steps at once by products of matrices.

Within a chunk of L steps the outputs are sums over pairs of steps, as in attention, and the chunk's effect on the
memory is one product; only the memory goes from chunk to chunk in a loop (Hua et al. 2022, arXiv:2202.10447,
section 3.3). This file cuts sequences into chunks; what a chunk computes is each cell's own.

Masks and resets cut the pairs: step s reaches step t where s <= t, s is real, and no reset lies after s up to t. A
number of segments says so, the resets counted from the chunk's first step on; the memory before the chunk is of
segment 0.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from lm_jax.types import Carry, Mask


LENGTH = 32  # steps in a chunk: pairs cost its square, the loop its inverse


class Chunk(NamedTuple):
    """L steps: what the cell reads of each, [L, *B, ...]; which are real; and the segment of each."""

    inputs: Any
    real: Bool[Array, "L *B"]
    segment: Int[Array, "L *B"]

    def reaches(self) -> Bool[Array, "L L *B"]:
        """Returns for steps t, s whether s reaches t: s <= t, in one segment, and s is real."""
        steps = jnp.arange(len(self.real))
        before = (steps[:, None] >= steps[None]).reshape(len(steps), len(steps), *[1] * (self.real.ndim - 1))
        return before & (self.segment[:, None] == self.segment[None]) & self.real[None]

    def from_memory(self) -> Bool[Array, "L *B"]:
        """Returns for each step whether the memory before the chunk reaches it."""
        return self.segment == 0

    def first_steps(self) -> Int[Array, "L *B"]:
        """Returns for each step the first one of its segment, -1 where that lies before the chunk."""
        before = jnp.concatenate([jnp.zeros_like(self.segment[:1]), self.segment[:-1]])
        steps = jnp.arange(len(self.segment)).reshape(-1, *[1] * (self.segment.ndim - 1))
        return jax.lax.cummax(jnp.where(self.segment != before, steps, -1))


def chunkwise(
    of_chunk: Callable[[Carry, Chunk], tuple[Carry, Array]],
    carry: Carry,
    inputs: Any,
    batch_shape: tuple[int, ...],
    mask: Mask | None,
    reset: Mask | None,
) -> tuple[Carry, Array]:
    """Runs all steps in chunks.

    Args:
        of_chunk: (carry before, chunk) -> (carry after, ys [L, *B, H]).
        carry: Before the first step.
        inputs: What the cell reads of each step, leaves [T, *B, ...].
        batch_shape: *B.
        mask: False is no step, [T, *B].
        reset: True begins a step anew, if it is not masked, [T, *B].

    Returns:
        The last carry, and ys [T, *B, H]; what lies at masked steps is finite and means nothing.
    """
    steps = len(jax.tree.leaves(inputs)[0])
    real = jnp.ones((steps, *batch_shape), bool) if mask is None else mask
    starts = jnp.zeros((steps, *batch_shape), bool) if reset is None else reset & real
    length = max(1, min(LENGTH, steps))

    def cut(a):
        a = jnp.pad(a, [(0, -steps % length)] + [(0, 0)] * (a.ndim - 1))
        return a.reshape(-1, length, *a.shape[1:])

    def body(carry, slices):
        inputs, real, starts = slices
        return of_chunk(carry, Chunk(inputs, real, jnp.cumsum(starts, axis=0)))

    carry, ys = jax.lax.scan(body, carry, jax.tree.map(cut, (inputs, real, starts)))
    return carry, ys.reshape(-1, *ys.shape[2:])[:steps]
