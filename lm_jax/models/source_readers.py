"""What turns a source into the vectors that an encoder reads: an embedding of tokens, or frames of a signal.

    token_reader     x_s = embedding[token_s]                           [E]         S vectors
    frame_reader     x_s = [f_{k s}, f_{k s + 1}, ... f_{k s + k - 1}]   [k F]       ceil(S / k) vectors

A recurrent encoder takes time for every vector, and neighbouring frames of speech are much alike, so that k of them are
stacked into one (Sak et al. 2015, section 3; the pyramid of Chan et al. 2016 in one step). Frames beyond the end are
zeros; a vector is real if its first frame is.

With a reversed source the encoder reads each sentence from its last token to its first (Sutskever et al. 2014, section
3.3).

Shapes: source tokens [S, *B] or frames [S, *B, F], mask [S, *B] (False is padding, at the end).
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from lm_jax import initializers
from lm_jax.caching import cached
from lm_jax.cells.base import InitFn
from lm_jax.errors import UserError, check_rate, check_sizes
from lm_jax.types import Key, Mask, Params, Tokens


class ReadSourceFn(Protocol):
    """A source to vectors [S', *B, E] and their mask [S', *B] (None: all real); a key brings the randomness of
    training."""

    def __call__(
        self, params: Params, source: Array, *, mask: Mask | None = None, key: Key | None = None
    ) -> tuple[Float[Array, "S *B E"], Bool[Array, "S *B"] | None]: ...


class SourceReader(NamedTuple):
    """A reader of sources: two pure functions and the size of its vectors.

    draws: whether reading with a key draws random numbers. reverses: whether the vectors are those of a row from its
    last position to its first.
    """

    init: InitFn
    read: ReadSourceFn
    output_size: int
    draws: bool = False
    reverses: bool = False


@cached
def token_reader(
    source_size: int,
    embedding_size: int,
    *,
    reverse_source: bool = False,
    word_dropout: float = 0.0,
    unk_id: int | None = None,
    init_bound: float = 0.1,
) -> SourceReader:
    """Makes the reader of tokens; its parameters are the embedding [V', E].

    Args:
        source_size: V', vocabulary entries of the source.
        embedding_size: E.
        reverse_source: whether a sentence is read from its last token to its first.
        word_dropout: share of the tokens that are read as `unk_id` when a key is given.
        unk_id: the unknown token of the source.
        init_bound: the embedding starts uniform on (-init_bound, init_bound).

    Returns:
        The reader.

    Raises:
        UserError: for a size or rate out of range, and word dropout without an unknown token.
    """
    check_sizes(source_size=source_size, embedding_size=embedding_size)
    check_rate("word_dropout", word_dropout)
    if word_dropout and unk_id is None:
        raise UserError(f"word_dropout needs an unknown token, got {word_dropout} without", ["word_dropout"])
    unknown = unk_id or 0

    def init(key):
        return initializers.uniform(init_bound)(key, (source_size, embedding_size), jnp.float32)

    def read(params, source, *, mask=None, key=None):
        if key is not None and word_dropout:
            source = jnp.where(jax.random.bernoulli(key, word_dropout, source.shape), unknown, source)
        return params[reversed_rows(source, mask) if reverse_source else source], mask

    return SourceReader(init, read, embedding_size, draws=word_dropout > 0, reverses=reverse_source)


@cached
def frame_reader(frame_size: int, stack: int = 1) -> SourceReader:
    """Makes the reader of frames, which has no parameters: `stack` frames of F numbers become one vector.

    Raises UserError for a size below 1.
    """
    check_sizes(frame_size=frame_size, stack=stack)

    def read(params, source, *, mask=None, key=None):
        del params, key
        if source.shape[-1] != frame_size:
            raise UserError(f"a source must be frames of {frame_size} numbers, got {source.shape[-1]}")
        frames = source if mask is None else jnp.where(mask[..., None], source, 0.0)
        missing = -len(frames) % stack
        frames = jnp.pad(frames, [(0, missing), *[(0, 0)] * (frames.ndim - 1)])
        vectors = jnp.concatenate([frames[k::stack] for k in range(stack)], axis=-1)
        return vectors, None if mask is None else mask[::stack]

    return SourceReader(lambda key: (), read, frame_size * stack)


def reversed_rows(tokens: Tokens, mask: Mask | None = None) -> Tokens:
    """Returns each row from its last real token to its first; the padding at its end stays there."""
    lengths = jnp.full(tokens.shape[1:], len(tokens)) if mask is None else jnp.sum(mask, axis=0)
    times = jnp.arange(len(tokens)).reshape(-1, *(1,) * (tokens.ndim - 1))
    return jnp.take_along_axis(tokens, jnp.where(times < lengths, lengths - 1 - times, times), axis=0)
