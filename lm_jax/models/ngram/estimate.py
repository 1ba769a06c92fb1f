"""Estimates an n-gram model from a text, by any of the estimators."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lm_jax.config import ESTIMATORS, AddK
from lm_jax.config.kinds import choose
from lm_jax.config.settings import check
from lm_jax.models.ngram.counts import count_ngrams
from lm_jax.models.ngram.jelinek_mercer import jelinek_mercer
from lm_jax.models.ngram.katz import katz
from lm_jax.models.ngram.kneser_ney import absolute_discounting, kneser_ney
from lm_jax.models.ngram.pruning import check_thresholds, prune_by_count
from lm_jax.models.ngram.shards import count_in_shards
from lm_jax.models.ngram.simple import add_k, maximum_likelihood, stupid_backoff, witten_bell
from lm_jax.models.ngram.smoothing import IN_MEMORY, Workspace
from lm_jax.models.ngram.tables import BackoffParams
from lm_jax.short_repr import shortly_shown


@shortly_shown
class Estimate(NamedTuple):
    """The tables of a model, and notes on what the estimator did where the text was too small for its formulas."""

    params: BackoffParams
    notes: list[str]


IMPOSSIBLE = "n-grams that were never seen have probability 0; the perplexity of a text with one of them is infinite"
SCORES = "scores, which do not sum to one: good for ranking and generating, without a perplexity"

EstimatorFn = Callable[[Any, Any, int, Workspace], Estimate]  # (tables, held_out, eol_id, space)


def modified_kneser_ney(settings: Any) -> EstimatorFn:
    """Makes the estimator of Chen & Goodman (1999), with three discounts an order."""
    return lambda tables, held_out, eol_id, space: Estimate(*kneser_ney(tables, space))


def plain_kneser_ney(settings: Any) -> EstimatorFn:
    """Makes the estimator of Kneser & Ney (1995), with one discount an order."""
    return lambda tables, held_out, eol_id, space: Estimate(*kneser_ney(tables, space, modified=False))


def discounted(settings: Any) -> EstimatorFn:
    """Makes absolute discounting (Ney et al. 1994)."""
    return lambda tables, held_out, eol_id, space: Estimate(*absolute_discounting(tables, space))


def interpolated(settings: Any) -> EstimatorFn:
    """Makes the estimator of Witten & Bell (1991)."""
    return lambda tables, held_out, eol_id, space: Estimate(witten_bell(tables, space), [])


def held_out_weights(settings: Any) -> EstimatorFn:
    """Makes the interpolation of Jelinek & Mercer (1980), its weights from the held-out text."""
    return lambda tables, held_out, eol_id, space: Estimate(*jelinek_mercer(tables, held_out, eol_id, space))


def good_turing(settings: Any) -> EstimatorFn:
    """Makes the back-off of Katz (1987)."""
    return lambda tables, held_out, eol_id, space: Estimate(*katz(tables, space))


def plus_k(settings: AddK) -> EstimatorFn:
    """Makes the estimator that adds k to every count."""
    return lambda tables, held_out, eol_id, space: Estimate(add_k(tables, space, k=settings.k), [])


def scores_only(settings: Any) -> EstimatorFn:
    """Makes the stupid back-off of Brants et al. (2007)."""
    return lambda tables, held_out, eol_id, space: Estimate(stupid_backoff(tables, space), [SCORES])


def relative_frequencies(settings: Any) -> EstimatorFn:
    """Makes the maximum-likelihood estimator, without smoothing."""
    return lambda tables, held_out, eol_id, space: Estimate(maximum_likelihood(tables, space), [IMPOSSIBLE])


NOT_PROBABILITIES = ("stupid-backoff",)


def has_perplexity(method: str) -> bool:
    """Says whether an estimator's numbers sum to one: exp(J) of those that do not is no perplexity."""
    return method not in NOT_PROBABILITIES


def estimate(
    tokens: np.ndarray,
    order: int,
    vocab_size: int,
    eol_id: int,
    *,
    method: Any = "modified-kneser-ney",
    held_out: np.ndarray | None = None,
    max_memory: int | None = None,
    prune_counts: Sequence[int] = (),
) -> Estimate:
    """Estimates the n-gram model of a text.

    Args:
        tokens: ids int [N].
        order: n.
        vocab_size: V.
        eol_id: the end-of-line token.
        method: the name of one of `lm_jax.config.ESTIMATORS`, or its settings, such as `AddK(0.5)`.
        held_out: ids for the weights of jelinek-mercer.
        max_memory: bytes for a text that is larger than memory: what is longer lies in files in the temporary folder
            (TMPDIR), and the tables of the model are maps of them.
        prune_counts: for the orders from 1 up, the number of occurrences up to which n-grams are left out, such as
            (0, 0, 1); the last holds for the orders above too.

    Raises:
        UserError: for an order below 1, a k that is not above 0, an unknown method, or thresholds that fall, do not
            begin with 0, or are for maximum-likelihood.
    """
    settings = choose("method", method, ESTIMATORS)
    check(settings)
    thresholds = check_thresholds(prune_counts, order, settings.kind)
    estimator = ESTIMATORS[settings.kind].make()(settings)

    def of_tables(tables, space):
        params, notes = estimator(tables, held_out, eol_id, space)
        return Estimate(prune_by_count(params, tables, thresholds, settings.kind, space), notes)

    if max_memory is None:
        return of_tables(count_ngrams(tokens, order, vocab_size, eol_id), IN_MEMORY)
    # the tables are maps of files: on POSIX systems these lie on the disk as long as the tables are used
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        tables = count_in_shards(tokens, order, vocab_size, eol_id, max_memory)
        return of_tables(tables, Workspace(Path(folder), max_memory))
