"""A linear-chain conditional random field: the probability of a whole string of labels, and its best strings.

    score(y) = start[y_1] + sum_t scores_t[y_t] + sum_t transitions[y_{t-1}, y_t] + end[y_T]
    log P(y) = score(y) - log Z            log Z = log sum_y exp score(y)

    log Z         the forward algorithm, a scan:
                  alpha_t[c] = scores_t[c] + log sum_b exp(alpha_{t-1}[b] + transitions[b, c])
    best          Viterbi: the same with max for log sum exp; for K best strings every label keeps K
    P(y_t = c)    the derivative of log Z by scores_t[c]

Lafferty, McCallum & Pereira 2001; Rabiner 1989 for the algorithms. A forbidden transition scores `FORBIDDEN`: finite,
so that gradients are, and so low that no sum of other scores outweighs it. Rows end with padding, where the mask is
False. A row of length zero has one string, the empty one, with score 0.

Shapes: scores [T, *B, C], labels [T, *B], mask [T, *B]; C labels, K strings.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from lm_jax.data.spans import LegalTransitions
from lm_jax.errors import UserError, check_sizes
from lm_jax.types import Mask


FORBIDDEN = -1e9  # a float32 sum of a thousand of these is finite, too


@struct.dataclass
class CRFParams:
    """start [C]: scores of the first label. transitions [C, C]: from, to. end [C]: of the last label."""

    start: Float[Array, "C"]
    transitions: Float[Array, "C C"]
    end: Float[Array, "C"]


class BestStrings(NamedTuple):
    """The best strings, best first: labels [K, T, *B], 0 at padding; scores [K, *B], -inf where there is no string."""

    labels: Int[Array, "K T *B"]
    scores: Float[Array, "K *B"]


def neutral_params(labels: int) -> CRFParams:
    """Returns parameters of zeros: every string scores the sum of its labels' scores."""
    check_sizes(labels=labels)
    return CRFParams(*(jnp.zeros(shape, jnp.float32) for shape in (labels, (labels, labels), labels)))


def constrain(params: CRFParams, legal: LegalTransitions | None) -> CRFParams:
    """Returns the parameters with `FORBIDDEN` in the place of what is not legal, where no gradient arrives.

    Raises UserError for legal transitions between another number of labels.
    """
    if legal is None:
        return params
    if legal.start.shape != params.start.shape:
        raise UserError(
            f"legal transitions must be between the {params.start.size} labels of the field, got {legal.start.size}"
        )
    return CRFParams(
        jnp.where(legal.start, params.start, FORBIDDEN),
        jnp.where(legal.between, params.transitions, FORBIDDEN),
        jnp.where(legal.end, params.end, FORBIDDEN),
    )


def log_partition(params: CRFParams, scores: Float[Array, "T *B C"], mask: Mask | None = None) -> Float[Array, "*B"]:
    """Computes log Z of every row, by the forward algorithm.

    Args:
        params: transitions of the field.
        scores: scores of the tags at every step.
        mask: False is padding.

    Returns:
        Nats, a number a row.
    """
    scores, valid = _checked(params, scores, mask)
    if not scores.shape[0]:
        return jnp.zeros(scores.shape[1:-1], scores.dtype)

    def step(alpha, inputs):
        scores_t, valid_t = inputs
        new = scores_t + jax.nn.logsumexp(alpha[..., :, None] + params.transitions, axis=-2)
        return jnp.where(valid_t[..., None], new, alpha), None

    alpha, _ = jax.lax.scan(step, params.start + scores[0], (scores[1:], valid[1:]))
    return jnp.where(valid[0], jax.nn.logsumexp(alpha + params.end, axis=-1), 0.0)


def path_score(
    params: CRFParams, scores: Float[Array, "T *B C"], labels: Int[Array, "T *B"], mask: Mask | None = None
) -> Float[Array, "*B"]:
    """Computes the score of one label sequence a row.

    Args:
        params: transitions of the field.
        scores: scores of the tags at every step.
        labels: the sequences; labels at padding are not read.
        mask: False is padding.

    Returns:
        The unnormalised scores, a number a row.
    """
    scores, valid = _checked(params, scores, mask)
    if not scores.shape[0]:
        return jnp.zeros(scores.shape[1:-1], scores.dtype)
    labels = jnp.where(valid, labels, 0)
    of_labels = jnp.take_along_axis(scores, labels[..., None], axis=-1)[..., 0]
    of_pairs = jnp.where(valid[1:], params.transitions[labels[:-1], labels[1:]], 0.0)
    last = jnp.concatenate([valid[:-1] & ~valid[1:], valid[-1:]])
    of_ends = jnp.where(valid[0], params.start[labels[0]], 0.0) + jnp.sum(jnp.where(last, params.end[labels], 0.0), 0)
    return jnp.sum(jnp.where(valid, of_labels, 0.0), axis=0) + jnp.sum(of_pairs, axis=0) + of_ends


def log_prob(
    params: CRFParams, scores: Float[Array, "T *B C"], labels: Int[Array, "T *B"], mask: Mask | None = None
) -> Float[Array, "*B"]:
    """Computes log P(labels) of every row.

    Args:
        params: transitions of the field.
        scores: scores of the tags at every step.
        labels: the sequences; labels at padding are not read.
        mask: False is padding.

    Returns:
        Nats, a number a row.
    """
    return path_score(params, scores, labels, mask) - log_partition(params, scores, mask)


def marginals(params: CRFParams, scores: Float[Array, "T *B C"], mask: Mask | None = None) -> Float[Array, "T *B C"]:
    """Computes P(y_t = c) of every step, the derivative of log Z.

    Args:
        params: transitions of the field.
        scores: scores of the tags at every step.
        mask: False is padding.

    Returns:
        The probabilities; zeros at padding.
    """
    return jax.grad(lambda scores: jnp.sum(log_partition(params, scores, mask)))(scores)


def label_log_probs(
    params: CRFParams, scores: Float[Array, "T *B C"], labels: Int[Array, "T *B"], mask: Mask | None = None
) -> Float[Array, "T *B"]:
    """Computes log P(y_t = labels_t) of every step by itself.

    It takes the odds of all sequences without the label to all with it, one forward algorithm each a step: where the
    probability is nearly 1, the derivative of `marginals` would have no digits left.

    Args:
        params: transitions of the field.
        scores: scores of the tags at every step.
        labels: the sequences; labels at padding are not read.
        mask: False is padding.

    Returns:
        Nats; 0 at padding.
    """
    scores, valid = _checked(params, scores, mask)
    log_odds = jax.vmap(lambda step: _log_odds_against(params, scores, labels, step, mask))(jnp.arange(len(scores)))
    return jnp.where(valid, -jax.nn.softplus(log_odds), 0.0)


def label_log_prob_at(
    params: CRFParams,
    scores: Float[Array, "T *B C"],
    labels: Int[Array, "T *B"],
    steps: Int[Array, "*B"],
    mask: Mask | None = None,
) -> Float[Array, "*B"]:
    """Computes log P(y_t = labels_t) of one step t of each row, two forward algorithms for all of them.

    Args:
        params: transitions of the field.
        scores: scores of the tags at every step.
        labels: the sequences.
        steps: t of each row, which is no padding.
        mask: False is padding.

    Returns:
        Nats, those of `label_log_probs`.
    """
    scores, _ = _checked(params, scores, mask)
    return -jax.nn.softplus(_log_odds_against(params, scores, labels, steps[..., None], mask))


def _log_odds_against(params, scores, labels, step, mask):
    chosen = jnp.arange(scores.shape[-1]) == labels[..., None]
    here = jnp.arange(len(scores)).reshape(-1, *[1] * (scores.ndim - 1)) == step
    without, with_it = (jnp.where(here & out, FORBIDDEN, scores) for out in (chosen, ~chosen))
    return log_partition(params, without, mask) - log_partition(params, with_it, mask)


def viterbi(
    params: CRFParams, scores: Float[Array, "T *B C"], mask: Mask | None = None
) -> tuple[Int[Array, "T *B"], Float[Array, "*B"]]:
    """Finds the best label sequence of every row.

    Args:
        params: transitions of the field.
        scores: scores of the tags at every step.
        mask: False is padding.

    Returns:
        The sequences, 0 at padding, and their scores.
    """
    best = n_best(params, scores, 1, mask)
    return best.labels[0], best.scores[0]


def n_best(params: CRFParams, scores: Float[Array, "T *B C"], k: int, mask: Mask | None = None) -> BestStrings:
    """Finds the k best label sequences of every row, by Viterbi with k places for each label, and a scan backwards.

    A place is label * k + rank.

    Args:
        params: transitions of the field.
        scores: scores of the tags at every step.
        k: number of sequences.
        mask: False is padding.

    Returns:
        The sequences, best first; the last scores of a row with fewer than k legal sequences are -inf.

    Raises:
        UserError: for a k below 1.
    """
    check_sizes(k=k)
    scores, valid = _checked(params, scores, mask)
    steps, batch, labels = scores.shape[0], scores.shape[1:-1], scores.shape[-1]
    nothing = jnp.where(jnp.arange(k) == 0, 0.0, -jnp.inf).reshape(k, *[1] * len(batch))
    if not steps:
        return BestStrings(jnp.zeros((k, 0, *batch), jnp.int32), jnp.broadcast_to(nothing, (k, *batch)))
    # A label has one string of length 1: its other places are as good as forbidden.
    spare = jnp.where(jnp.arange(k) == 0, 0.0, 2 * FORBIDDEN)
    places = jnp.arange(labels * k, dtype=jnp.int32)

    def forward(delta, inputs):
        scores_t, valid_t = inputs
        arrived = delta[..., :, :, None] + params.transitions[:, None, :]  # [*B, from, k, to]
        arrived = jnp.moveaxis(arrived.reshape(*batch, labels * k, labels), -1, -2)
        best, came_from = jax.lax.top_k(arrived, k)
        new = jnp.where(valid_t[..., None, None], best + scores_t[..., None], delta)
        came_from = came_from.reshape(*batch, labels * k).astype(jnp.int32)
        return new, jnp.where(valid_t[..., None], came_from, places)

    delta, pointers = jax.lax.scan(forward, (params.start + scores[0])[..., None] + spare, (scores[1:], valid[1:]))
    final, place = jax.lax.top_k((delta + params.end[:, None]).reshape(*batch, labels * k), k)  # [*B, k]

    place = place.astype(jnp.int32)

    def backward(place, pointers_t):
        return jnp.take_along_axis(pointers_t, place, axis=-1), place

    first, later = jax.lax.scan(backward, place, pointers, reverse=True)
    strings = jnp.moveaxis(jnp.concatenate([first[None], later]) // k, -1, 0)
    final = jnp.moveaxis(jnp.where(final > FORBIDDEN / 2, final, -jnp.inf), -1, 0)
    return BestStrings(jnp.where(valid, strings, 0), jnp.where(valid[0], final, nothing))


def _checked(params: CRFParams, scores: Any, mask: Any) -> tuple[Array, Array]:
    """Returns the scores, zeros at padding, and a mask; what stands at padding is never read."""
    scores = jnp.asarray(scores)
    if scores.shape[-1] != params.start.shape[0]:
        raise UserError(f"scores must be of the {params.start.shape[0]} labels of the field, got {scores.shape[-1]}")
    if mask is None:
        return scores, jnp.ones(scores.shape[:-1], bool)
    mask = jnp.asarray(mask)
    if mask.shape != scores.shape[:-1] or mask.dtype != bool:
        raise UserError(
            f"a mask of scores {scores.shape} must be bool {scores.shape[:-1]} (time, batch), "
            f"got {mask.dtype} {mask.shape}"
        )
    return jnp.where(mask[..., None], scores, 0.0), mask
