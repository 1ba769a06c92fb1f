"""What a word looks like: one vector of its characters, by a recurrent or a convolutional network over them.

    lstm    [h_W, h'_1]        the last state from left to right and that from right to left (Ling et al. 2015)
    cnn     max_t tanh(sum_j e_{t+j} W_j + b)        j = -2 ... 2 (dos Santos & Zadrozny 2014; Ma & Hovy 2016)

A word of more padding has the same vector; one without characters is zeros.

Shapes: characters int [*N, W], -1 after a word's last; vectors [*N, F].
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from lm_jax import initializers
from lm_jax.caching import cached
from lm_jax.cells import lstm
from lm_jax.cells.base import InitFn
from lm_jax.errors import UserError, check_sizes
from lm_jax.layers import product
from lm_jax.types import Params


class ReadFn(Protocol):
    """Characters [*N, W] to vectors [*N, F]."""

    def __call__(self, params: Params, characters: Int[Array, "*N W"]) -> Float[Array, "*N F"]: ...


class WordReader(NamedTuple):
    """A network over the characters of a word: two pure functions and the size of its vector."""

    init: InitFn
    read: ReadFn
    output_size: int


@struct.dataclass
class LSTMReaderParams:
    """embedding [C, E] of C characters, and the cells from left to right and from right to left."""

    embedding: Float[Array, "C E"]
    forward: Params
    backward: Params


@struct.dataclass
class CNNReaderParams:
    """embedding [C, E] of C characters, filters w [J E, F] of J characters, b [F]."""

    embedding: Float[Array, "C E"]
    w: Float[Array, "JE F"]
    b: Float[Array, "F"]


@cached
def lstm_reader(characters: int, embedding_size: int, output_size: int) -> WordReader:
    """Makes a word reader of two LSTMs, each of which has half of the vector.

    Args:
        characters: The number of characters that are known.
        embedding_size: Size of a character's embedding.
        output_size: Size of a word's vector, an even number.

    Raises:
        UserError: For a size below 1, and an output_size that is odd.
    """
    check_sizes(characters=characters, char_embedding_size=embedding_size, char_size=output_size)
    if output_size % 2:
        raise UserError(
            f"the vector of two LSTMs has two halves: char_size must be even, got {output_size}",
            ["char_size"],
        )
    cell = lstm(embedding_size, output_size // 2)

    def init(key):
        key_e, key_f, key_b = jax.random.split(key, 3)
        return LSTMReaderParams(_embedding(key_e, characters, embedding_size), cell.init(key_f), cell.init(key_b))

    def read(params, characters):
        ids = jnp.moveaxis(characters, -1, 0)
        mask = ids >= 0
        xs = params.embedding[jnp.where(mask, ids, 0)]

        def last(cell_params, xs, mask):
            initial = cell.initial_carry(cell_params, ids.shape[1:])
            return cell.unroll(cell_params, initial, xs, mask=mask)[0].h

        backward = last(params.backward, jnp.flip(xs, axis=0), jnp.flip(mask, axis=0))
        return jnp.concatenate([last(params.forward, xs, mask), backward], axis=-1)

    return WordReader(init, read, output_size)


@cached
def cnn_reader(characters: int, embedding_size: int, output_size: int, width: int = 5) -> WordReader:
    """Makes a word reader of filters over characters, of each the largest answer.

    At the ends of a word a filter sees zeros, so that beginnings and endings differ from what stands inside.

    Args:
        characters: The number of characters that are known.
        embedding_size: Size of a character's embedding.
        output_size: Size of a word's vector: the number of filters.
        width: The characters that a filter sees.

    Raises:
        UserError: For a size below 1.
    """
    check_sizes(characters=characters, char_embedding_size=embedding_size, char_size=output_size, char_width=width)

    def init(key):
        key_e, key_w = jax.random.split(key)
        bound = (6 / (width * embedding_size + output_size)) ** 0.5
        w = initializers.uniform(bound)(key_w, (width * embedding_size, output_size), jnp.float32)
        return CNNReaderParams(_embedding(key_e, characters, embedding_size), w, jnp.zeros(output_size, jnp.float32))

    def read(params, characters):
        mask = characters >= 0
        xs = jnp.where(mask[..., None], params.embedding[jnp.where(mask, characters, 0)], 0.0)
        around = [(0, 0)] * (xs.ndim - 2) + [(width // 2, (width - 1) // 2), (0, 0)]
        padded, length = jnp.pad(xs, around), xs.shape[-2]
        windows = jnp.concatenate([padded[..., j : j + length, :] for j in range(width)], axis=-1)
        answers = jnp.tanh(product(windows, params.w) + params.b)
        best = jnp.max(jnp.where(mask[..., None], answers, -1.0), axis=-2, initial=-1.0)
        return jnp.where(jnp.any(mask, axis=-1)[..., None], best, 0.0)

    return WordReader(init, read, output_size)


def no_reader(characters: int) -> None:
    """Returns None: a tagger that knows words alone."""
    del characters


def _embedding(key, characters, size):
    return initializers.uniform((3 / size) ** 0.5)(key, (characters, size), jnp.float32)
