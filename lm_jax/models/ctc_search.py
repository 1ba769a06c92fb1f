"""Prefix beam search: the most probable strings of labels under the outputs of an encoder (lm_jax/models/ctc.py).

Many paths collapse to one string, so that the best path need not belong to the best string. A prefix s keeps the
probability of all paths so far that collapse to it, apart by how they end: in a blank (b), or in its last label (n).
With p the distribution of the next step and P = P_b + P_n,

    P_b'(s)     = p[blank] P(s)
    P_n'(s)     = p[last of s] P_n(s)    +  what its own beginning gives it, if that is among the K
    P_n'(s c)   = p[c] P(s)              where c is not the last of s
    P_n'(s c)   = p[c] P_b(s)            where it is: without a blank between, the path stays with s

and after each step the K best by P are kept. Width 1 is no best path; a width of all strings is exhaustive. Graves
2012, section 7.5; Hannun et al. 2014, algorithm 1, without a language model.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lm_jax.encoders import check_mask
from lm_jax.errors import check_sizes
from lm_jax.models.ctc import BLANK
from lm_jax.types import Mask


class Strings(NamedTuple):
    """The best strings, best first: labels [K, N, B], -1 after the end; lengths [K, B]; log_probs [K, B] in nats, of
    the paths that were kept, -inf where there is no string."""

    labels: Int[Array, "K N B"]
    lengths: Int[Array, "K B"]
    log_probs: Float[Array, "K B"]


class _Prefixes(NamedTuple):
    """labels [K, N], -1 after the end; lengths [K]; blank, label [K]: log P_b and log P_n."""

    labels: Array
    lengths: Array
    blank: Array
    label: Array

    @property
    def total(self):
        return jnp.logaddexp(self.blank, self.label)

    @property
    def last(self):
        """The last label [K], -1 of the empty prefix."""
        ends = jnp.take_along_axis(self.labels, jnp.maximum(self.lengths - 1, 0)[:, None], axis=1)[:, 0]
        return jnp.where(self.lengths > 0, ends, -1)


def prefix_beam_search(
    logits: Float[Array, "T B C"],
    mask: Mask | None = None,
    *,
    beam_size: int = 8,
    most_labels: int | None = None,
    blank_id: int = BLANK,
) -> Strings:
    """Searches for the most probable strings of every row.

    Args:
        logits: scores of labels and blank at every step.
        mask: which steps are real; default: all.
        beam_size: K.
        most_labels: N, the longest string that is searched for; default: T.
        blank_id: the class of the blank.

    Returns:
        The strings.

    Raises:
        UserError: for sizes below 1, and a mask that does not have the shape of the logits, or is not boolean.
    """
    longest = len(logits) if most_labels is None else most_labels
    check_sizes(beam_size=beam_size, most_labels=longest)
    check_mask(mask, logits)
    log_probs = jax.nn.log_softmax(logits)
    valid = jnp.ones(logits.shape[:-1], bool) if mask is None else jnp.asarray(mask)
    of_rows = jax.vmap(
        functools.partial(_search, beam_size=beam_size, longest=longest, blank_id=blank_id), in_axes=1, out_axes=-1
    )
    return of_rows(log_probs, valid)


def _search(log_probs, valid, *, beam_size, longest, blank_id):
    """The search of one row: log_probs [T, C], valid [T]."""
    nothing = jnp.full((beam_size,), -jnp.inf)
    start = _Prefixes(
        labels=jnp.full((beam_size, longest), -1, jnp.int32),
        lengths=jnp.zeros((beam_size,), jnp.int32),
        blank=nothing.at[0].set(0.0),
        label=nothing,
    )

    def step(prefixes, inputs):
        of_step, is_real = inputs
        new = _extended(prefixes, of_step, blank_id)
        return jax.tree.map(lambda a, b: jnp.where(is_real, a, b), new, prefixes), None

    prefixes, _ = jax.lax.scan(step, start, (log_probs, valid))
    order = jnp.argsort(-prefixes.total)
    return Strings(prefixes.labels[order], prefixes.lengths[order], prefixes.total[order])


def _extended(prefixes, of_step, blank_id):
    """The K best of the prefixes and of their extensions by one label, after a step with log_probs [C]."""
    width, classes = len(prefixes.lengths), len(of_step)
    last, total = prefixes.last, prefixes.total
    repeats = last[:, None] == jnp.arange(classes)
    more = of_step + jnp.where(repeats, prefixes.blank[:, None], total[:, None])
    full = prefixes.lengths == prefixes.labels.shape[1]
    more = jnp.where(full[:, None] | (jnp.arange(classes) == blank_id), -jnp.inf, more)

    of_last = jnp.where(last < 0, -jnp.inf, of_step[last])
    given, more = _merged(prefixes, last, more)
    blank, label = of_step[blank_id] + total, jnp.logaddexp(of_last + prefixes.label, given)
    candidates = jnp.concatenate([jnp.logaddexp(blank, label), more.reshape(-1)])
    _, best = jax.lax.top_k(candidates, width)

    stays = best < width
    parent = jnp.where(stays, best, (best - width) // classes)
    added = ((best - width) % classes).astype(jnp.int32)
    end = jnp.arange(prefixes.labels.shape[1]) == prefixes.lengths[parent][:, None]
    return _Prefixes(
        labels=jnp.where(end & ~stays[:, None], added[:, None], prefixes.labels[parent]),
        lengths=prefixes.lengths[parent] + ~stays,
        blank=jnp.where(stays, blank[parent], -jnp.inf),
        label=jnp.where(stays, label[parent], candidates[best]),
    )


def _merged(prefixes, last, more):
    """What each prefix is given by its beginning [K], and the extensions [K, C] without what was given."""
    width = len(last)
    place = jnp.arange(prefixes.labels.shape[1]) == prefixes.lengths[:, None] - 1
    beginnings = jnp.where(place, -1, prefixes.labels)  # without the last label
    begins = jnp.all(prefixes.labels[:, None] == beginnings[None], axis=-1)  # [from, to]
    # what repeats is the empty prefix alone, in places without any path, which no beginning gives anything
    begins &= prefixes.lengths[:, None] + 1 == prefixes.lengths[None]
    offered = jnp.where(begins, more[:, last], -jnp.inf)
    given = jax.nn.logsumexp(offered, axis=0)
    taken = jnp.zeros(more.shape, bool).at[jnp.arange(width)[:, None], last[None]].max(begins)
    return given, jnp.where(taken, -jnp.inf, more)
