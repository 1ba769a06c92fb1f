"""Pruning: tables with fewer n-grams, whose probability goes to the shorter contexts, so that they still sum to one.

By count, as a model is estimated (KenLM's --prune): n-grams of order k that occur threshold_k times or less are left
out. Discounts and weights are those of the whole text. With P(w | h) = f(h w) + gamma(h) P(w | h') as interpolated
estimators have it, f of what is left out joins gamma:

    gamma'(h) = gamma(h) + sum of f(h w) over the w left out        P'(w | h) = [f(h w)] + gamma'(h) P'(w | h')

By entropy, any tables (Stolcke 1998): without the n-gram h w, w has alpha'(h) P(w | h') after h, where

    alpha'(h) = (unseen(h) + P(w | h)) / (1 - sum of P(v | h') over the other v seen after h)

and unseen(h) is the probability of the words that have no n-gram after h. The model loses

    D = -P(h) (P(w | h) (log P(w | h') + log alpha'(h) - log P(w | h)) + unseen(h) (log alpha'(h) - log alpha(h)))

nats a token, and its perplexity grows by the factor exp(D). P(h) is a product of the model's own probabilities, of </s>
for <s>; Kneser-Ney models are known to lose more than it says, as their shorter contexts are no marginals (Chelba et
al. 2010). From the longest n-grams down each is judged as if it were the only one to go, and is dropped if its factor
is below 1 + threshold, unless it is the context of one that stays; at the end every alpha is computed anew.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lm_jax.errors import UserError, check_sizes
from lm_jax.mapped import release, take
from lm_jax.models.ngram.counts import NGrams
from lm_jax.models.ngram.smoothing import BYTES_A_ROW, IN_MEMORY, Workspace, context_parts
from lm_jax.models.ngram.suffixes import Suffixes, context_log_probs, lower_log_probs, with_suffixes
from lm_jax.models.ngram.tables import BackoffParams, assembled, build_tables, not_a_distribution


TINY = 1e-12  # what is left of a distribution where rounding says that nothing is


def check_thresholds(thresholds: Sequence[int], order: int, method: str) -> list[int]:
    """Returns one threshold for each order: the last one holds for the orders above too; none are zeros.

    Args:
        thresholds: Of order 1, 2, ...; n-grams that occur as often, or less, are left out.
        order: The largest n.
        method: The name of the estimator.

    Raises:
        UserError: Unless thresholds are whole numbers that never fall, 0 for the 1-grams, no more than the orders, and
            the estimator has shorter contexts to give probability to.
    """
    check_sizes(order=order)
    wanted = [*thresholds] or [0]
    if not all(isinstance(t, int) and t >= 0 for t in wanted) or wanted != sorted(wanted) or wanted[0] != 0:
        rule = "prune_counts must be whole numbers that never fall and begin with 0, such as 0 0 1"
        raise UserError(f"{rule}, got {' '.join(map(str, wanted))}", ["prune_counts"])
    if len(wanted) > order:
        raise UserError(f"there must be at most one threshold for each of the orders 1 to {order}, got {wanted}")
    if any(wanted) and method == "maximum-likelihood":
        raise UserError(f"pruning needs a method that backs off, and maximum-likelihood does not, got {wanted}")
    return wanted + [wanted[-1]] * (order - len(wanted))


def prune_by_count(
    params: BackoffParams, ngrams: list[NGrams], thresholds: Sequence[int], method: str, space: Workspace = IN_MEMORY
) -> BackoffParams:
    """Leaves out the n-grams that occur as often as the threshold of their order, or less.

    Where estimators interpolate, gamma takes over as above; Katz keeps the other probabilities and finds alpha anew;
    the scores of stupid back-off stay as they are.

    Args:
        params: What the estimator has made of `ngrams`.
        ngrams: The counted n-grams of each order.
        thresholds: One for each order, as `check_thresholds` returns them.
        method: The name of the estimator.
        space: Where to work.
    """
    if not any(thresholds):
        return params
    rule = BACKING_OFF.get(method, _give_to_gamma)
    after = np.asarray(params.log_prob[0], np.float64)
    words, log_probs, log_backoffs, starts = [ngrams[0].words], [params.log_prob[0]], [], []
    for k in range(1, len(ngrams)):
        after, *rest = _prune_order(params, ngrams, thresholds, k, after, rule, space)
        for parts, column in zip((words, log_probs, log_backoffs, starts), rest, strict=True):
            parts.append(column)
    return assembled(words, log_probs, log_backoffs, starts, params.log_missing)


class _Continued(NamedTuple):
    """All N n-grams h w that continue some C contexts h, everything natural logarithms in float64.

    prefix int [N]: their contexts. keep bool [N]: which stay. log_prob [N]: log P(w | h). log_backoff [C]. before [N],
    after [N]: log P(w | h') of the whole tables and of the pruned ones.
    """

    prefix: np.ndarray
    keep: np.ndarray
    log_prob: np.ndarray
    log_backoff: np.ndarray
    before: np.ndarray
    after: np.ndarray


def _prune_order(params, ngrams, thresholds, k, after, rule, space):
    """The n-grams of order k + 1, some contexts at a time: log P of all in the pruned tables, and the columns of those
    that stay and of their contexts."""
    lower, table = ngrams[k - 1], ngrams[k]
    columns = [space.column(dtype) for dtype in (np.float64, np.int32, np.float32, np.float32, np.int32)]
    first, size = 0, space.rows(64)
    for rows, contexts in context_parts(table.prefix, len(lower.words), space.rows(BYTES_A_ROW)):
        prefix, suffix = table.prefix[rows] - np.int32(contexts.start), table.suffix[rows]
        keep = table.counts[rows] > thresholds[k]
        stays = (lower.counts[contexts] > thresholds[k - 1]) | (k == 1)
        log_prob, log_backoff = (
            np.asarray(values, np.float64) for values in (params.log_prob[k][rows], params.log_backoff[k - 1][contexts])
        )
        before = np.asarray(take(params.log_prob[k - 1], suffix, size), np.float64)
        part = _Continued(prefix, keep, log_prob, log_backoff, before, take(after, suffix, size))
        pruned, weights = rule(part)
        ends = first + np.cumsum(np.bincount(prefix[keep], minlength=len(weights))[stays])
        staying = table.words[rows][keep], np.minimum(pruned[keep], 0.0), weights[stays], np.append(first, ends)[:-1]
        for column, values in zip(columns, (pruned, *staying), strict=True):
            column.append(values)
        first += int(np.count_nonzero(keep))
        release(*table, lower.counts, params.log_backoff[k - 1], params.log_prob[k])
    columns[-1].append(np.array([first]))
    return [column.array() for column in columns]


def _give_to_gamma(part: _Continued):
    """f of what is left out joins gamma."""
    gamma = np.exp(part.log_backoff)
    discounted = np.maximum(np.exp(part.log_prob) - gamma[part.prefix] * np.exp(part.before), 0.0)
    gamma += np.bincount(part.prefix, weights=np.where(part.keep, 0.0, discounted), minlength=len(gamma))
    pruned = np.where(part.keep, discounted, 0.0) + gamma[part.prefix] * np.exp(part.after)
    with np.errstate(divide="ignore"):  # what goes may have no probability left, where the context has no weight
        return np.log(pruned), np.log(gamma)


def _find_alpha_anew(part: _Continued):
    """The probabilities stay; alpha of a context is anew where one of its n-grams, or what is below them, is not as it
    was; a context that nothing continues any more has the weight 1."""
    contexts = len(part.log_backoff)
    totals = functools.partial(np.bincount, part.prefix, minlength=contexts)
    changed = totals(weights=~part.keep | (part.before != part.after)) > 0
    dropped = totals(weights=np.exp(part.log_prob) * ~part.keep)
    unseen = np.exp(part.log_backoff) * np.maximum(1.0 - totals(weights=np.exp(part.before)), TINY) + dropped
    new = np.log(unseen / np.maximum(1.0 - totals(weights=np.exp(part.after) * part.keep), TINY))
    alone = totals(weights=part.keep) == 0
    weights = np.where(changed, np.where(alone, 0.0, new), part.log_backoff)
    return np.where(part.keep, part.log_prob, weights[part.prefix] + part.after), weights


def _leave_scores(part: _Continued):
    """Scores and weights stay as they are."""
    return part.log_prob, part.log_backoff


BACKING_OFF = {"katz": _find_alpha_anew, "stupid-backoff": _leave_scores}


def prune_by_entropy(params: BackoffParams, threshold: float) -> BackoffParams:
    """Leaves out the n-grams without which the perplexity grows by less than this share, each taken alone.

    threshold: such as 1e-8; 0 leaves everything as it is. Raises UserError for a threshold that is negative or no
    number, or for tables that are not distributions.
    """
    if not 0 <= threshold < np.inf:
        raise UserError(f"the threshold of pruning must be a number of at least 0, got {threshold!r}")
    reason = not_a_distribution(params)
    if reason is not None:
        raise UserError(f"pruning by entropy needs probabilities above 0 and back-off weights, but {reason}")
    tables = with_suffixes(params)
    everything = [np.ones(len(words), bool) for words in tables.words]
    contexts = context_log_probs(tables)
    retained = everything.copy()
    for k in range(params.order, 1, -1):
        cost = _costs(tables, k, contexts[k - 2], lower_log_probs(tables, k, everything, tables.log_backoff))
        retained[k - 1] = np.expm1(np.maximum(cost, 0.0)) >= threshold
        if k < params.order:
            retained[k - 1][tables.parents[k][retained[k]]] = True
    return _select(tables.words, tables.parents, tables.log_prob, _new_backoffs(tables, retained), retained)


def _costs(tables: Suffixes, k: int, context_log_prob, lower) -> np.ndarray:
    """D [N_k] of every n-gram of order k, in nats."""
    parent, log_prob = tables.parents[k - 1], tables.log_prob[k - 1]
    log_alpha = tables.log_backoff[k - 2]
    p, q = np.exp(log_prob), np.exp(lower)
    rest = _left(tables, k, q, np.ones(len(q), bool))
    unseen = np.exp(log_alpha) * rest
    log_alpha_without = np.log((unseen[parent] + p) / (rest[parent] + q))
    change = p * (lower + log_alpha_without - log_prob) + unseen[parent] * (log_alpha_without - log_alpha[parent])
    return -np.exp(context_log_prob[parent]) * change


def _left(tables, k, q, keep):
    """1 - sum of P(v | h') over the v that stay after h, for every context h of order k - 1."""
    contexts = len(tables.words[k - 2])
    return np.maximum(1.0 - np.bincount(tables.parents[k - 1], weights=q * keep, minlength=contexts), TINY)


def _new_backoffs(tables: Suffixes, retained: list[np.ndarray]) -> list[np.ndarray]:
    """Returns log alpha of every context, from the shortest up, when only the retained n-grams are left."""
    everything = [np.ones(len(words), bool) for words in tables.words]
    result = []
    for k in range(2, len(tables.words) + 1):
        parent, keep, log_alpha = tables.parents[k - 1], retained[k - 1], tables.log_backoff[k - 2]
        before = lower_log_probs(tables, k, everything, tables.log_backoff)
        after = lower_log_probs(tables, k, retained, result)
        changed = np.bincount(parent, weights=~keep | (before != after), minlength=len(log_alpha)) > 0
        dropped = np.bincount(parent, weights=np.exp(tables.log_prob[k - 1]) * ~keep, minlength=len(log_alpha))
        unseen = np.exp(log_alpha) * _left(tables, k, np.exp(before), everything[k - 1]) + dropped
        new = np.log(unseen / _left(tables, k, np.exp(after), keep))
        alone = np.bincount(parent, weights=keep, minlength=len(log_alpha)) == 0
        result.append(np.where(changed, np.where(alone, 0.0, new), log_alpha))
    return result


def _select(words, parents, log_probs, log_backoffs, retained) -> BackoffParams:
    """Returns the tables of the retained n-grams."""
    ngrams, none, rows = [], np.zeros(0, np.int32), np.zeros(1, np.int64)
    for keep, word, parent in zip(retained, words, parents, strict=True):
        ngrams.append(NGrams(word[keep], rows[parent[keep]], none, none, none))
        rows = np.cumsum(keep) - 1
    return build_tables(
        ngrams,
        [p[keep] for p, keep in zip(log_probs, retained, strict=True)],
        [b[keep] for b, keep in zip(log_backoffs, retained, strict=False)],
    )
