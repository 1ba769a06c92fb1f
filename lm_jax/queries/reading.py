"""A text read token by token: the loss and the rank of each, the entropy before each, and what may come next.

For a text x_1 .. x_N that follows an end of line, with P_i = P(. | x_1 .. x_{i-1}):

    log_probs[i] = log P_i(x_i)     ranks[i] = 1 + |{v: P_i(v) > P_i(x_i)}|     entropies[i] = - sum_v P_i(v) log P_i(v)

A reader remembers the carry after the chunks that it has read, so that to type one more token costs one chunk, however
long the text is. Chunks are padded by masks: there is one compiled program for short ones and one for long ones.
"""

import functools
import itertools
from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lm_jax.errors import check_sizes
from lm_jax.queries.loaded_run import LoadedRun, RunLike, UserCell, as_language_model
from lm_jax.queries.next_tokens import NextToken
from lm_jax.queries.token_text import Text, shown_tokens, to_ids, unknown_words
from lm_jax.short_repr import shortly_shown


SHORT, LONG = 32, 256  # tokens of a chunk
MOST_NEXT = 50  # tokens offered after a text
MOST_RIVALS = 5  # likeliest tokens at every position
REMEMBERED_BYTES = 64 << 20  # of carries and results of chunks


@shortly_shown
class Reading(NamedTuple):
    """What a model says about a text of N tokens; nats.

    tokens: the ids. names: the tokens as they can be shown. texts: the characters of each, which joined are the text.
    log_probs, ranks: of each token, rank 1 the likeliest. entropies: of the distribution before each token, and after
    the last. rivals: the likeliest tokens before each, ids and log-probabilities [N, R], likeliest first.
    next: the likeliest tokens after the text. unknown: words that the model knows only as <unk>.
    """

    tokens: Int[np.ndarray, "N"]
    names: tuple[str, ...]
    texts: tuple[str, ...]
    log_probs: Float[np.ndarray, "N"]
    ranks: Int[np.ndarray, "N"]
    entropies: Float[np.ndarray, "N+1"]
    rivals: tuple[Int[np.ndarray, "N R"], Float[np.ndarray, "N R"]]
    next: tuple[NextToken, ...]
    unknown: tuple[str, ...]


class _Chunk(NamedTuple):
    """What was read: a number of its own, the carry after it, and the results [size, ...]."""

    number: int
    carry: Any
    results: Any


class Reader:
    """Reads texts that grow, under the model of one run.

    Args:
        run: The folder of a run, or a run that is loaded.
        cell: The user's own cell that the run was trained with.

    Raises UserError for no run, and for one that is not of a language model.
    """

    def __init__(self, run: RunLike, cell: UserCell | None = None):
        self.run: LoadedRun = as_language_model(run, cell)
        self._chunks: OrderedDict[tuple[int, bytes, int], _Chunk] = OrderedDict()
        self._numbers = itertools.count(1)
        carry = self.run.model.initial_carry(self.run.params, (1,))
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(carry)) + 64 * LONG
        self._most = max(8, REMEMBERED_BYTES // size)
        self._start = _Chunk(0, carry, None)

    def warm_up(self) -> None:
        """Compiles the programs, so that no first reader waits for them."""
        eol = self.run.vocabulary.eol_id
        self.read(np.full(LONG + 1, eol, np.int32))

    def read(self, text: Text = "", k: int = 10) -> Reading:
        """Reads a text.

        Args:
            text: The text, or its ids; it follows an end of line.
            k: How many tokens that may come next, at most 50; fewer where the vocabulary is smaller.

        Raises:
            UserError: For a text that the vocabulary cannot encode, and a k below 1.
        """
        check_sizes(k=k)
        vocabulary = self.run.vocabulary
        ids = to_ids(vocabulary, text)
        results, last = self._results(ids)
        tokens = vocabulary.tokens
        following = zip(last.next_ids, last.next_log_probs, strict=True)
        return Reading(
            tokens=ids,
            names=shown_tokens(vocabulary, ids),
            texts=_texts(vocabulary, ids),
            log_probs=results.log_probs[:-1],
            ranks=results.ranks[:-1],
            entropies=results.entropies,
            rivals=(results.rival_ids[:-1], results.rival_log_probs[:-1]),
            next=tuple(NextToken(tokens[i], float(np.exp(p))) for i, p in itertools.islice(following, k)),
            unknown=unknown_words(vocabulary, text) if isinstance(text, str) else (),
        )

    def _results(self, ids):
        """Returns the results at each of the N + 1 inputs, and those after the last."""
        inputs = np.append(self.run.vocabulary.eol_id, ids).astype(np.int32)
        targets = np.append(ids, 0).astype(np.int32)
        before, at, pieces = self._start, 0, []
        while at < len(inputs):
            size = LONG if len(inputs) - at >= LONG else SHORT
            if (before.number, _key(inputs, targets, at, SHORT), SHORT) in self._chunks:
                size = SHORT  # it was typed, and grew in short ones
            before = self._chunk(before, inputs, targets, at, size)
            pieces.append(_first(before.results[0], len(inputs) - at))
            at += size
        return jax.tree.map(lambda *parts: np.concatenate(parts), *pieces), before.results[1]

    def _chunk(self, before, inputs, targets, at, size):
        key = (before.number, _key(inputs, targets, at, size), size)
        if key in self._chunks:
            self._chunks.move_to_end(key)
            return self._chunks[key]
        rows = [np.zeros(size, np.int32), np.zeros(size, np.int32)]
        length = min(size, len(inputs) - at)
        for row, whole in zip(rows, (inputs, targets), strict=True):
            row[:length] = whole[at : at + length]
        read = _jitted_read(self.run.model)
        carry, *results = read(self.run.params, before.carry, *rows, np.arange(size) < length, length - 1)
        chunk = _Chunk(next(self._numbers), carry, jax.tree.map(np.asarray, tuple(results)))
        self._chunks[key] = chunk
        while len(self._chunks) > self._most:
            self._chunks.popitem(last=False)
        return chunk


def _first(results, count):
    return jax.tree.map(lambda a: a[:count], results)


def _key(inputs, targets, at, size):
    """The tokens of a chunk with the one after it, which is the target of its last."""
    return inputs[at : at + size].tobytes() + targets[min(at + size, len(targets)) - 1].tobytes()


def _texts(vocabulary, ids):
    """The characters of each token; of a character of several bytes all stand at its last."""
    pieces = list(vocabulary.pieces(ids.tolist()))
    ends = pieces[: len(ids)]
    if len(pieces) > len(ids) and len(ids):
        ends[-1] += "".join(pieces[len(ids) :])
    return tuple(ends)


class _Results(NamedTuple):
    log_probs: Any
    ranks: Any
    entropies: Any
    rival_ids: Any
    rival_log_probs: Any


class _Following(NamedTuple):
    next_ids: Any
    next_log_probs: Any


@functools.cache
def _jitted_read(model):
    most, rivals = min(MOST_NEXT, model.vocab_size), min(MOST_RIVALS, model.vocab_size)

    def read(params, carry, inputs, targets, mask, last):
        carry, logits = model.unroll(params, carry, inputs[:, None], mask=mask[:, None])
        log_probs = jax.nn.log_softmax(logits[:, 0])
        target = jnp.take_along_axis(log_probs, targets[:, None], axis=-1)
        probs = jnp.exp(log_probs)
        entropies = -jnp.sum(jnp.where(probs > 0, probs * log_probs, 0.0), axis=-1)
        ranks = 1 + jnp.sum(log_probs > target, axis=-1)
        rival_log_probs, rival_ids = jax.lax.top_k(log_probs, rivals)
        next_log_probs, next_ids = jax.lax.top_k(log_probs[last], most)
        results = _Results(target[:, 0], ranks, entropies, rival_ids, rival_log_probs)
        return carry, results, _Following(next_ids, next_log_probs)

    return jax.jit(read)
