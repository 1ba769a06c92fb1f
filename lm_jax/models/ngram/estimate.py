"""From a text to an n-gram model, by any of the estimators."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lm_jax.errors import one_of
from lm_jax.models.ngram.counts import count_ngrams
from lm_jax.models.ngram.jelinek_mercer import jelinek_mercer
from lm_jax.models.ngram.katz import katz
from lm_jax.models.ngram.kneser_ney import absolute_discounting, kneser_ney
from lm_jax.models.ngram.pruning import check_thresholds, prune_by_count
from lm_jax.models.ngram.shards import count_in_shards
from lm_jax.models.ngram.simple import add_k, maximum_likelihood, stupid_backoff, witten_bell
from lm_jax.models.ngram.tables import BackoffParams


class Estimate(NamedTuple):
    """The tables of a model, and notes on what the estimator did where the text was too small for its formulas."""

    params: BackoffParams
    notes: list[str]


IMPOSSIBLE = "n-grams that were never seen have probability 0; the perplexity of a text with one of them is infinite"
SCORES = "scores, which do not sum to one: good for ranking and generating, without a perplexity"

# each: (tables, held_out, eol_id, k) -> Estimate
ESTIMATORS: dict[str, Callable[..., Estimate]] = {
    "maximum-likelihood": lambda tables, held_out, eol_id, k: Estimate(maximum_likelihood(tables), [IMPOSSIBLE]),
    "add-k": lambda tables, held_out, eol_id, k: Estimate(add_k(tables, k), []),
    "stupid-backoff": lambda tables, held_out, eol_id, k: Estimate(stupid_backoff(tables), [SCORES]),
    "katz": lambda tables, held_out, eol_id, k: Estimate(*katz(tables)),
    "jelinek-mercer": lambda tables, held_out, eol_id, k: Estimate(*jelinek_mercer(tables, held_out, eol_id)),
    "witten-bell": lambda tables, held_out, eol_id, k: Estimate(witten_bell(tables), []),
    "absolute-discounting": lambda tables, held_out, eol_id, k: Estimate(*absolute_discounting(tables)),
    "kneser-ney": lambda tables, held_out, eol_id, k: Estimate(*kneser_ney(tables, modified=False)),
    "modified-kneser-ney": lambda tables, held_out, eol_id, k: Estimate(*kneser_ney(tables)),
}
NOT_PROBABILITIES = ("stupid-backoff",)


def sums_to_one(method: str) -> bool:
    """Whether the numbers of an estimator are probabilities; scores, which are not, have no perplexity."""
    return method not in NOT_PROBABILITIES


def estimate(
    tokens: np.ndarray,
    order: int,
    vocab_size: int,
    eol_id: int,
    *,
    method: str = "modified-kneser-ney",
    held_out: np.ndarray | None = None,
    k: float = 1.0,
    max_memory: int | None = None,
    prune_counts: Sequence[int] = (),
) -> Estimate:
    """The n-gram model of a text, ids int [N].

    method: one of ESTIMATORS. held_out: for the weights of jelinek-mercer. k: of add-k. max_memory: bytes for
    counting a text that is larger than memory, in shards on disk. prune_counts: for the orders from 1 up, the number
    of occurrences up to which n-grams are left out, such as (0, 0, 1); the last holds for the orders above too.
    Raises UserError for an order below 1, a k that is not above 0, an unknown method, or thresholds that fall, do not
    begin with 0, or are for maximum-likelihood.
    """
    estimator = one_of("method", method, ESTIMATORS)
    thresholds = check_thresholds(prune_counts, order, method)
    if max_memory is None:
        tables = count_ngrams(tokens, order, vocab_size, eol_id)
    else:
        tables = count_in_shards(tokens, order, vocab_size, eol_id, max_memory)
    params, notes = estimator(tables, held_out, eol_id, k)
    return Estimate(prune_by_count(params, tables, thresholds, method), notes)
