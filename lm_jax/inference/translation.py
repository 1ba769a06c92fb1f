"""Translating many sentences: each batch is encoded once, then searched.

    score = log P(target | source) / length^alpha + beta sum over s of log(min(sum over t of a_ts, 1))

alpha is the length penalty, beta the coverage penalty (Wu et al. 2016, section 7) with a_ts the weight of source
position s at target position t: what attention has hardly read costs. The search and its stopping rule are those of
lm_jax/inference/beam_search.py.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.data.buckets import Bucketed, in_order, lay_out
from lm_jax.errors import UserError
from lm_jax.inference.beam_search import build_search, check_search
from lm_jax.inference.generation import bucket_of
from lm_jax.models.decoder_loops import Conditioned
from lm_jax.models.translator import Translator, teacher_forced
from lm_jax.types import Params


ROWS = 64  # sentences of a batch
SHORTEST = 32  # length that sources of a batch are padded to at least: each length compiles once
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
    """Translates sentences of ids, int [S_n] each.

    Args:
        model: a translator.
        params: its parameters.
        sources: sentences; none is empty.
        eol_id: the end of a target.
        settings: of the search; default: a beam of 5, length penalty 1.
        progress: called with (batches done, batches in all).

    Returns:
        For each sentence at most beam_size translations: those that came to an end first, then by score, best first.

    Raises:
        UserError: for a setting outside its range.
    """
    settings = settings or SearchSettings()
    settings.check(model)
    batches = in_order(np.asarray([len(source) for source in sources], int), ROWS)
    found: list[list[Found]] = [[] for _ in sources]
    for number, rows in enumerate(batches.rows, 1):
        columns = _columns(rows, sources, SHORTEST)
        search = _search(model, most_tokens(len(columns)), eol_id, settings)
        beams = jax.tree.map(np.asarray, search(params, columns))
        for row, sentence in enumerate(rows):
            if sentence >= 0:
                found[sentence] = _in_order(jax.tree.map(lambda leaf, row=row: leaf[row], beams), settings)
        if progress is not None:
            progress(number, len(batches.rows))
    return found


def _columns(rows: np.ndarray, sentences: Sequence[np.ndarray], shortest: int) -> np.ndarray:
    """Returns the sentences of a batch side by side, int32 [T, B], padded with -1 to a power of two: few shapes."""
    longest = max(len(sentences[row]) for row in rows if row >= 0)
    return lay_out(Bucketed(rows[None], np.asarray([max(shortest, bucket_of(longest))])), sentences)


def most_tokens(source_length: int) -> int:
    """Returns the longest translation that is searched for."""
    return 2 * source_length + 16


@functools.cache
def _search(model, length, eol_id, settings):
    bonus = _coverage_bonus(settings.coverage_penalty) if settings.coverage_penalty else None
    search = build_search(model.decoder, length, eol_id, settings.beam_size, settings.length_penalty, bonus)

    def of_one(decoder, memory, mask):
        """Beams of a source with memory [S, E]: an axis of size 1 is broadcast over them."""
        conditioned = Conditioned(decoder, memory[:, None], mask[:, None])
        carry = model.decoder.initial_carry(conditioned, (settings.beam_size,))
        return search(conditioned, carry, jnp.full((settings.beam_size,), eol_id, jnp.int32), length)

    @jax.jit
    def of_batch(params, tokens):
        mask = tokens >= 0
        memory = model.encode(params, jnp.maximum(tokens, 0), mask=mask)
        return jax.vmap(of_one, in_axes=(None, 1, 1))(params.decoder, memory, mask)

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
    """Returns log P(target | source) in nats, float64 [N], of targets with their ends; padding changes nothing."""
    lengths = np.asarray([len(one) for one in sources], int), np.asarray([len(one) for one in targets], int)
    batches, sums = in_order(np.maximum(*lengths), ROWS), np.zeros(len(sources))
    for number, rows in enumerate(batches.rows, 1):
        columns = [_columns(rows, side, SHORTEST // 2) for side in (sources, targets)]
        log_probs = np.asarray(_score(model, eol_id)(params, *columns), np.float64).sum(axis=0)
        sums[rows[rows >= 0]] = log_probs[rows >= 0]
        if progress is not None:
            progress(number, len(batches.rows))
    return sums


@functools.cache
def _score(model, eol_id):
    @jax.jit
    def score(params, source, target):
        conditioned = model.condition(params, jnp.maximum(source, 0), mask=source >= 0)
        carry, said = model.decoder.initial_carry(conditioned, source.shape[1:]), teacher_forced(target, eol_id)
        return model.decoder.score(conditioned, carry, said.inputs, said.targets, mask=said.mask)[1]

    return score


def alignment(model: Translator, params: Params, source: np.ndarray, target: np.ndarray, eol_id: int) -> np.ndarray:
    """Returns the weights [T, S] with which each token of a target, ids int [T], was written beside a source, int [S].

    Raises UserError for a model without attention.
    """
    if model.align is None:
        raise UserError("the weights of attention need a translator with attention, got one without")
    padded = [np.full(bucket_of(len(ids)), -1, np.int32) for ids in (source, target)]
    for ids, room in zip((source, target), padded, strict=True):
        room[: len(ids)] = ids
    return np.asarray(_align(model, eol_id)(params, *padded))[: len(target), : len(source)]


@functools.cache
def _align(model, eol_id):
    @jax.jit
    def align(params, source, target):
        conditioned = model.condition(params, jnp.maximum(source, 0), mask=source >= 0)
        carry = model.decoder.initial_carry(conditioned, ())
        return model.align(conditioned, carry, teacher_forced(target, eol_id).inputs)

    return align
