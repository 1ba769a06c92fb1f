"""Batches for truncated backpropagation through time: parallel streams, cut into chunks of equal length.

The tokens are laid out time-major as [N + 1, B]: row 0 is the end-of-line token, the first input of every stream, so
that the first token is predicted too; row t is the input of step t and the target of step t - 1. Every token is a
target exactly once; streams that are shorter than the longest are padded, and the padding is known by the lengths.

    stream mode     B contiguous parts of the text; the carry runs on from chunk to chunk and from line to line
    sentence mode   whole lines in a new random order each epoch, packed into B streams; a reset at every line
"""

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np

from lm_jax.errors import UserError


class Streams(NamedTuple):
    """tokens int32 [N + 1, B] with the end-of-line token in row 0; lengths int32 [B], the targets in each stream."""

    tokens: np.ndarray
    lengths: np.ndarray


class Batch(NamedTuple):
    """One chunk: inputs and targets int32 [T, B]; mask and reset bool [T, B]."""

    inputs: np.ndarray
    targets: np.ndarray
    mask: np.ndarray
    reset: np.ndarray


def cut_streams(tokens: np.ndarray, num_streams: int, eol_id: int) -> Streams:
    """Cuts the text into contiguous streams whose lengths differ by at most one.

    Args:
        tokens: The text, ids int [N].
        num_streams: The number of streams, B.
        eol_id: The id of the end of a line, the first input of every stream.
    """
    return _lay_out(np.array_split(tokens, num_streams), eol_id)


def pack_lines(tokens: np.ndarray, num_streams: int, eol_id: int, generator: np.random.Generator | None) -> Streams:
    """Whole lines, shuffled if there is a generator, packed into streams of nearly equal length.

    Args:
        tokens: The text, ids int [N].
        num_streams: The number of streams, B.
        eol_id: The id of the end of a line.
        generator: Shuffles the lines; None leaves them in order.
    """
    return _lay_out(packed_parts(tokens, num_streams, eol_id, generator), eol_id)


def packed_parts(
    tokens: np.ndarray, num_streams: int, eol_id: int, generator: np.random.Generator | None
) -> list[np.ndarray]:
    """Returns the targets of each of these streams.

    Args:
        tokens: The text, ids int [N].
        num_streams: The number of streams, B.
        eol_id: The id of the end of a line.
        generator: Shuffles the lines; None leaves them in order.
    """
    ends = np.flatnonzero(tokens == eol_id) + 1
    if len(ends) == 0 or ends[-1] != len(tokens):
        ends = np.append(ends, len(tokens))
    lines = np.split(tokens, ends[:-1])
    order = np.arange(len(lines)) if generator is None else generator.permutation(len(lines))
    total = np.concatenate([[0], np.cumsum([len(lines[i]) for i in order])])
    cuts = np.searchsorted(total, np.arange(1, num_streams) * len(tokens) / num_streams)
    packed = np.concatenate([lines[i] for i in order])
    return np.split(packed, total[cuts])


def _lay_out(parts, eol_id):
    lengths = np.asarray([len(part) for part in parts], np.int32)
    tokens = np.full((lengths.max() + 1, len(parts)), eol_id, np.int32)
    for column, part in enumerate(parts):
        tokens[1 : len(part) + 1, column] = part
    return Streams(tokens, lengths)


def pad_streams(streams: Streams, steps: int) -> Streams:
    """Pads the streams at the end to `steps` targets."""
    missing = steps + 1 - len(streams.tokens)
    return Streams(np.pad(streams.tokens, ((0, missing), (0, 0)), mode="edge"), streams.lengths)


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """The training batches of a text, as a pure function of (tokens, seed, step): nothing to save but the step.

    tokens int32 [N]; mode "stream" or "sentence". random_bptt: the lengths of chunks vary about bptt, in few sizes and
    in pairs whose mean is bptt, so that an epoch has the same number of steps as without. Raises UserError for a text
    shorter than one batch.
    """

    tokens: np.ndarray
    eol_id: int
    batch_size: int
    bptt: int
    mode: str = "stream"
    seed: int = 0
    random_bptt: bool = False

    def __post_init__(self):
        needed = self.batch_size * self.bptt
        if len(self.tokens) < needed:
            raise UserError(
                f"the training text must fill one batch of {self.batch_size} streams x {self.bptt} steps "
                f"= {needed:,} tokens, got {len(self.tokens):,}; lower batch_size or bptt",
                ("batch_size", "bptt"),
            )

    @functools.cached_property
    def steps_per_epoch(self) -> int:
        """Chunks in one pass over the text."""
        length = math.ceil(len(self.tokens) / self.batch_size)
        if self.mode == "sentence":  # a stream ends with a whole line, so it may be longer by one, for any shuffling
            ends = np.flatnonzero(self.tokens == self.eol_id)
            length += int(np.diff(ends, prepend=-1, append=len(self.tokens)).max())
        return math.ceil(length / self.bptt)

    @property
    def longest_chunk(self) -> int:
        """Time steps of the longest chunk that there may be."""
        longest = max(1, self.bptt // 2) if self.random_bptt else 0
        return self.bptt + min(longest, self.bptt - 1)

    def epoch(self, number: int) -> Streams:
        """Returns the streams of one pass, padded to whole chunks.
        Only sentence mode depends on the number and the seed."""
        if self.mode == "sentence":
            generator = np.random.default_rng((self.seed, number))
            streams = pack_lines(self.tokens, self.batch_size, self.eol_id, generator)
        else:
            streams = cut_streams(self.tokens, self.batch_size, self.eol_id)
        return pad_streams(streams, self.steps_per_epoch * self.bptt)

    def chunk_lengths(self, number: int) -> np.ndarray:
        """Returns the lengths of the chunks of one pass, int [steps_per_epoch].

        Random ones are bptt for about half of the chunks, an eighth more or less for most others, and half as long
        or half as long again for 5 % (after Merity et al. 2018, in sizes few enough to compile).
        """
        lengths = np.full(self.steps_per_epoch, self.bptt)
        if not self.random_bptt:
            return lengths
        generator = np.random.default_rng((self.seed, number, 1))
        pairs = generator.permutation(self.steps_per_epoch)[: self.steps_per_epoch // 2 * 2].reshape(-1, 2)
        deviations = [0, max(1, self.bptt // 8), self.bptt // 2]
        deviation = generator.choice(deviations, size=len(pairs), p=[0.5, 0.45, 0.05])
        deviation = np.minimum(deviation, self.bptt - 1)
        lengths[pairs[:, 0]] -= deviation
        lengths[pairs[:, 1]] += deviation
        return lengths

    def batch_at(self, step: int) -> Batch:
        """Returns the batch of a step counted from the start of the run."""
        number, index = divmod(step, self.steps_per_epoch)
        lengths = self.chunk_lengths(number)
        return chunk(self.epoch(number), int(lengths[:index].sum()), int(lengths[index]), self.mode, self.eol_id)


def chunk(streams: Streams, start: int, length: int, mode: str, eol_id: int) -> Batch:
    """Returns `length` steps of the streams from step `start` on.

    Args:
        streams: The streams, B of them.
        start: The first step.
        length: The number of steps.
        mode: "stream": the carry is reset before step 0 alone; "sentence": after each end of a line.
        eol_id: The id of the end of a line.
    """
    inputs = streams.tokens[start : start + length]
    targets = streams.tokens[start + 1 : start + length + 1]
    times = np.arange(start, start + length)[:, None]
    reset = inputs == eol_id if mode == "sentence" else np.broadcast_to(times == 0, inputs.shape)
    return Batch(inputs, targets, times < streams.lengths, reset)
