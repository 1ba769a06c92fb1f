"""Translating many sources, sentences or signals: each batch is encoded once, then searched.

    score = log P(target | source) / length^alpha + beta sum over s of log(min(sum over t of a_ts, 1))

alpha is the length penalty, beta the coverage penalty (Wu et al. 2016, section 7) with a_ts the weight of source
position s at target position t: what attention has hardly read costs. The search and its stopping rule are those of
lm_jax/inference/beam_search.py.

A source is what the translator reads (lm_jax/models/source_readers.py): ids int [S], or frames float [S, F].
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.data.buckets import in_order
from lm_jax.errors import UserError
from lm_jax.inference.beam_search import build_search, check_search
from lm_jax.inference.generation import bucket_of
from lm_jax.models.decoder_loops import Conditioned
from lm_jax.models.translator import Translator, teacher_forced
from lm_jax.short_repr import shortly_shown
from lm_jax.types import Params


ROWS = 64  # sentences of a batch
SHORTEST = 32  # length that sources of a batch are padded to at least: each length compiles once
SHORTEST_ALONE = SHORTEST // 2  # the same of a sentence that is asked about by itself
FLOOR = 1e-6  # of the covered share of a position: its logarithm stays finite


class SearchSettings(NamedTuple):
    """How translations are searched for; the penalties are alpha and beta of the module."""

    beam_size: int = 5
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0

    def check(self, model: Translator) -> None:
        """Raises UserError for a setting outside its range, and for a coverage of what has no attention."""
        check_search(self.beam_size, self.length_penalty)
        if not 0 <= self.coverage_penalty < float("inf"):
            raise UserError(f"coverage_penalty must be at least 0, got {self.coverage_penalty!r}", ["coverage_penalty"])
        if self.coverage_penalty and model.align is None:
            raise UserError(
                f"coverage_penalty needs attention, got {self.coverage_penalty} without", ["coverage_penalty"]
            )


@shortly_shown
class Found(NamedTuple):
    """A translation: tokens int [T] without its end; log_prob in nats, that of its end included; the score that it is
    ranked by; whether it came to its end before the longest length."""

    tokens: np.ndarray
    log_prob: float
    score: float
    finished: bool


def translate_batch(
    model: Translator,
    params: Params,
    sources: Sequence[np.ndarray],
    eol_id: int,
    settings: SearchSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[Found]]:
    """Translates sources.

    Args:
        model: a translator.
        params: its parameters.
        sources: of S_n steps each; none is empty.
        eol_id: the end of a target.
        settings: of the search; default: a beam of 5, length penalty 1.
        progress: called with (batches done, batches in all).

    Returns:
        For each source at most beam_size translations: those that came to an end first, then by score, best first.

    Raises:
        UserError: for a setting outside its range.
    """
    settings = settings or SearchSettings()
    settings.check(model)
    batches = in_order(np.asarray([len(source) for source in sources], int), ROWS)
    found: list[list[Found]] = [[] for _ in sources]
    for number, rows in enumerate(batches.rows, 1):
        search = _search(model, eol_id, settings)
        beams = jax.tree.map(np.asarray, search(params, *pad_columns(rows, sources, SHORTEST)))
        for row, source in enumerate(rows):
            if source >= 0:
                found[source] = _in_order(jax.tree.map(lambda leaf, row=row: leaf[row], beams), settings)
        if progress is not None:
            progress(number, len(batches.rows))
    return found


def pad_columns(rows: np.ndarray, sequences: Sequence[np.ndarray], shortest: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Pads the sequences of a batch with zeros to a power of two, a column each: few shapes.

    Args:
        rows: numbers of the sequences, int [B]; -1 for none, which is padding throughout.
        sequences: ids int [T_n], or vectors float [T_n, F].
        shortest: length to which a batch is padded at least.

    Returns:
        int32 [T, B] or float32 [T, B, F], and the mask [T, B].
    """
    chosen = {column: np.asarray(sequences[row]) for column, row in enumerate(rows) if row >= 0}
    some = next(iter(chosen.values()))
    length = max(shortest, bucket_of(max(map(len, chosen.values()))))
    dtype = np.int32 if np.issubdtype(some.dtype, np.integer) else np.float32
    columns = np.zeros((length, len(rows), *some.shape[1:]), dtype)
    mask = np.zeros((length, len(rows)), bool)
    for column, sequence in chosen.items():
        columns[: len(sequence), column] = sequence
        mask[: len(sequence), column] = True
    return columns, mask


def most_tokens(memory_length: int) -> int:
    """Returns the length of the longest translation to search for."""
    return 2 * memory_length + 16


@functools.cache
def _search(model, eol_id, settings):
    bonus = _coverage_bonus(settings.coverage_penalty) if settings.coverage_penalty else None

    def of_one(decoder, memory, mask):
        """Beams of a source with memory [S, E]: an axis of size 1 is broadcast over them."""
        length = most_tokens(len(memory))
        search = build_search(model.decoder, length, eol_id, settings.beam_size, settings.length_penalty, bonus)
        conditioned = Conditioned(decoder, memory[:, None], mask[:, None])
        carry = model.decoder.initial_carry(conditioned, (settings.beam_size,))
        return search(conditioned, carry, jnp.full((settings.beam_size,), eol_id, jnp.int32), length)

    @jax.jit
    def of_batch(params, source, mask):
        conditioned = model.condition(params, source, mask=mask)
        return jax.vmap(of_one, in_axes=(None, 1, 1))(conditioned.params, conditioned.memory, conditioned.mask)

    return of_batch


def _coverage_bonus(weight):
    def bonus(params, carry):
        covered = jnp.log(jnp.clip(carry.coverage, FLOOR, 1.0))
        return weight * jnp.sum(jnp.where(jnp.moveaxis(params.mask, 0, -1), covered, 0.0), axis=-1)

    return bonus


def _in_order(beams: Any, settings: SearchSettings) -> list[Found]:
    """The beams of one sentence that are possible at all."""
    scores, found = np.asarray(beams.scores(settings.length_penalty)), []
    for k in np.argsort(~beams.finished, kind="stable"):
        if beams.log_probs[k] > -np.inf:
            finished = bool(beams.finished[k])
            tokens = beams.tokens[k, : int(beams.lengths[k]) - int(finished)]
            found.append(Found(tokens, float(beams.log_probs[k]), float(scores[k]), finished))
    return found


def pair_log_probs(
    model: Translator,
    params: Params,
    sources: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    eol_id: int,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Computes log P(target | source) of pairs; padding changes nothing.

    Args:
        model: a translator.
        params: its parameters.
        sources: ids of each source.
        targets: ids of each target, with its end.
        eol_id: the token that ends a target.
        progress: called with (batches done, batches in all).

    Returns:
        Nats, float64 [N].
    """
    lengths = np.asarray([len(one) for one in sources], int), np.asarray([len(one) for one in targets], int)
    batches, sums = in_order(np.maximum(*lengths), ROWS), np.zeros(len(sources))
    for number, rows in enumerate(batches.rows, 1):
        source, target = (pad_columns(rows, side, SHORTEST // 2) for side in (sources, targets))
        log_probs = np.asarray(_score(model, eol_id)(params, *source, *target), np.float64).sum(axis=0)
        sums[rows[rows >= 0]] = log_probs[rows >= 0]
        if progress is not None:
            progress(number, len(batches.rows))
    return sums


@functools.cache
def _score(model, eol_id):
    @jax.jit
    def score(params, source, source_mask, target, target_mask):
        conditioned = model.condition(params, source, mask=source_mask)
        carry = model.decoder.initial_carry(conditioned, target.shape[1:])
        said = teacher_forced(jnp.where(target_mask, target, -1), eol_id)
        return model.decoder.score(conditioned, carry, said.inputs, said.targets, mask=said.mask)[1]

    return score


def alignment(model: Translator, params: Params, source: np.ndarray, target: np.ndarray, eol_id: int) -> np.ndarray:
    """Computes the attention weights of each token of a target over its source.

    Args:
        model: a translator with attention.
        params: its parameters.
        source: ids of the source.
        target: ids int [T] of the target.
        eol_id: the token that ends a target.

    Returns:
        Weights [T, S']. S' are the positions of the memory, as many as of the source unless its reader makes them
            fewer.

    Raises:
        UserError: for a model without attention.
    """
    if model.align is None:
        raise UserError("the weights of attention need a translator with attention, got one without")
    (frames, mask), (ids, _) = (pad_columns(np.zeros(1, int), [one], SHORTEST_ALONE) for one in (source, target))
    weights, positions = _align(model, eol_id)(params, frames[:, 0], mask[:, 0], ids[:, 0])
    return np.asarray(weights)[: len(target), : int(positions)]


@functools.cache
def _align(model, eol_id):
    @jax.jit
    def align(params, source, mask, target):
        conditioned = model.condition(params, source, mask=mask)
        carry = model.decoder.initial_carry(conditioned, ())
        weights = model.align(conditioned, carry, teacher_forced(target, eol_id).inputs)
        return weights, jnp.sum(conditioned.mask)

    return align
