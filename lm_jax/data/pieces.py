"""Pieces of the streams of a text, for devices that do not hold all of it.

A piece is a range of rows of the layout that lm_jax/data/batching.py describes, and has whole chunks: each is read from
the text, which may be a map of a file, when it is asked for. All pieces have one shape, so that steps compile once.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lm_jax.data.batching import Batches, packed_parts
from lm_jax.mapped import release


PIECES = 3  # on the devices at a time


class Piece(NamedTuple):
    """Part of the streams: tokens int32 [n + 1, B], from row `offset` on; lengths int32 [B] of the whole streams."""

    tokens: np.ndarray
    lengths: np.ndarray
    offset: np.ndarray


class Pieces:
    """The pieces of all passes over a text.

    Args:
        batches: the text, its streams and its chunks.
        device_tokens: how many tokens three pieces may have: the last, until it is let go; the one that is worked on;
            and the next.
    """

    def __init__(self, batches: Batches, device_tokens: int):
        self._batches = batches
        rows = max(batches.longest_chunk, device_tokens // PIECES // batches.batch_size)
        self._rows = rows if batches.random_bptt else rows // batches.bptt * batches.bptt
        self._parts = functools.lru_cache(maxsize=1)(self._parts_of)
        self._chunks = functools.lru_cache(maxsize=2)(self._chunks_of)

    def at(self, number: int, place: int) -> tuple[Piece, int]:
        """Returns the piece of a pass that has a chunk, and the place of the first chunk after it.

        Args:
            number: of the pass.
            place: of the chunk in it.
        """
        starts, begins = self._chunks(number)
        k = int(np.searchsorted(begins, place, side="right")) - 1
        until = int(begins[k + 1]) if k + 1 < len(begins) else self._batches.steps_per_epoch
        parts = self._parts(number if self._batches.mode == "sentence" else 0)
        return self._read(parts, int(starts[begins[k]])), until

    def _chunks_of(self, number):
        """(the first row of each chunk of a pass, the places of the chunks that pieces begin with)."""
        lengths = self._batches.chunk_lengths(number)
        ends = np.cumsum(lengths)
        starts, begins = ends - lengths, [0]
        while True:  # as many chunks as end within the rows of a piece
            following = int(np.searchsorted(ends, starts[begins[-1]] + self._rows, side="right"))
            if following >= len(lengths):
                return starts, np.array(begins)
            begins.append(following)

    def _parts_of(self, number) -> Sequence[np.ndarray]:
        """The targets of each stream: of a running text views of it."""
        batches = self._batches
        if batches.mode != "sentence":
            return np.array_split(batches.tokens, batches.batch_size)
        generator = np.random.default_rng((batches.seed, number))
        return packed_parts(batches.tokens, batches.batch_size, batches.eol_id, generator)

    def _read(self, parts, start):
        """The rows from `start` on; those past the end of the streams are as the last."""
        batches = self._batches
        lengths = np.asarray([len(part) for part in parts], np.int32)
        rows = np.minimum(np.arange(start, start + self._rows + 1), int(lengths.max()))
        tokens = np.full((len(rows), len(parts)), batches.eol_id, np.int32)
        for column, part in enumerate(parts):
            held = (rows > 0) & (rows <= len(part))
            if held.any():
                first, last = rows[held][0] - 1, rows[held][-1] - 1
                tokens[held, column] = part[first : last + 1][rows[held] - 1 - first]
        release(batches.tokens)
        return Piece(tokens, lengths, np.asarray(start, np.int32))
