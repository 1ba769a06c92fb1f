"""The bias of truncated back-propagation through time, the part of the gradient that it leaves out.

Sources: Williams & Peng 1990; Werbos 1990.

    J = mean over predictions of -log P(x_{i+1} | x_1 .. x_i)         in nats
    g   = dJ/dparams                                                  through the whole text
    g_k = the same with the text cut into chunks of k steps: carries are handed on, gradients stop at the borders

    cosine = <g_k, g> / (||g_k|| ||g||)          norm ratio = ||g_k|| / ||g||

A gradient that points elsewhere cannot be mended by a learning rate: the cosine tells which k a model needs.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lm_jax.analysis.checks import check_finite, checked_rising
from lm_jax.analysis.trajectory import forward_pass, open_text
from lm_jax.errors import UserError, one_of
from lm_jax.models.language_model import LanguageModel, Opened
from lm_jax.short_repr import shortly_shown
from lm_jax.types import Carry, Params, TextIds


@shortly_shown
class TruncationBias(NamedTuple):
    """Truncated gradients against the whole one, by chunk length; of "all" parameters and of those of the "cell".

    lengths: the chunk lengths k, rising.
    cosine: of the angle between g_k and g; NaN where one of them is zero.
    norm_ratio: ||g_k|| / ||g||.
    """

    lengths: Int[np.ndarray, "K"]
    cosine: dict[str, Float[np.ndarray, "K"]]
    norm_ratio: dict[str, Float[np.ndarray, "K"]]

    def needed(self, cosine: float = 0.99, of: str = "cell") -> int | None:
        """Returns the smallest length from which on the cosine is never below `cosine`; None if the longest one is.

        Raises UserError for a cosine above 1 or another group of parameters than "all" and "cell".
        """
        if not -1 <= cosine <= 1:
            raise UserError(f"cosine must be between -1 and 1, got {cosine}")
        reached = one_of("of", of, self.cosine) >= cosine
        last_below = np.flatnonzero(~reached)
        start = last_below[-1] + 1 if len(last_below) else 0
        return int(self.lengths[start]) if start < len(reached) else None


def truncation_bias(
    model: LanguageModel,
    params: Params,
    tokens: TextIds,
    *,
    lengths: Sequence[int] = (1, 2, 5, 10, 20, 35, 70, 150),
    targets: TextIds | None = None,
    carry: Carry | None = None,
) -> TruncationBias:
    """Compares gradients of truncated backpropagation with the full gradient of a text's mean cross-entropy.

    All chunks of one length go through the network at once, so that a length k takes about k steps back in time.

    Args:
        model: a language model with a recurrence.
        params: its parameters.
        tokens: ids [T+1, B], or [T+1] of one text: each token but the first is predicted from those before it. With
            `targets`, `tokens` [T, B] are the inputs.
        lengths: rising chunk lengths k. The last chunk is shorter where k does not divide T; from k = T on nothing is
            truncated.
        targets: ids [T, B]; targets[i] is predicted after tokens[i].
        carry: the carry before the first step, held constant. Default: the initial one.

    Returns:
        Cosines and lengths of the truncated gradients relative to the full one.

    Raises:
        UserError: for a model without a recurrence (an n-gram, a window), lengths that do not rise, fewer than two
            predictions, shapes that do not fit, ids that are not in the vocabulary, or gradients that are no numbers.
    """
    text = open_text(model, params, tokens, targets, carry)
    steps = len(text.inputs)
    chunks = np.asarray(checked_rising("lengths", lengths))
    if not len(chunks):
        raise UserError("lengths must be chunk lengths, at least one, got none")
    carries = _compiled_carries(text.opened)(params, text.carry, text.inputs)

    def gradient(length):
        result = jax.device_get(_compiled(model, length)(params, carries, text.inputs, text.targets))
        check_finite(jax.tree.leaves(result))
        return {"all": jax.tree.leaves(result), "cell": jax.tree.leaves(result.cell)}

    whole = gradient(steps)
    compared = {group: [] for group in whole}
    for length in chunks:
        truncated = gradient(int(length)) if length < steps else whole
        for group, pairs in compared.items():
            pairs.append(_compare(truncated[group], whole[group]))
    cosine, ratio = ({group: np.array(pairs)[:, k] for group, pairs in compared.items()} for k in (0, 1))
    return TruncationBias(chunks, cosine, ratio)


@functools.cache
def _compiled_carries(opened: Opened) -> Callable:
    return jax.jit(lambda params, carry, inputs: forward_pass(opened, params, carry, inputs)[1])


@functools.cache
def _compiled(model: LanguageModel, length: int) -> Callable:
    return jax.jit(functools.partial(truncated_gradient, model, length))


def truncated_gradient(
    model: LanguageModel,
    length: int,
    params: Params,
    carries: Carry,
    inputs: Int[np.ndarray, "T B"],
    targets: Int[np.ndarray, "T B"],
) -> Params:
    """Returns dJ/dparams where gradients end at the beginning of each chunk.

    Args:
        model: Any language model that is trained by steps.
        length: Steps in a chunk.
        params: Its parameters.
        carries: The carry before every step of the text, leaves [T, B, ...].
        inputs: Ids of the text.
        targets: Ids that follow them.

    Returns:
        A pytree as `params`, of the mean loss over T * B predictions in nats.
    """
    steps, batch_size = inputs.shape
    chunks = -(-steps // length)

    def cut(ids):
        padded = jnp.pad(ids, ((0, chunks * length - steps), (0, 0)))
        return padded.reshape(chunks, length, batch_size).swapaxes(0, 1)

    starts = jax.tree.map(lambda leaf: leaf[::length], carries)
    mask = None if chunks * length == steps else cut(jnp.ones(inputs.shape, bool))

    def loss(params):
        _, log_probs = model.score(params, starts, cut(inputs), cut(targets), mask=mask)  # batch axes (chunk, text)
        return -jnp.sum(log_probs) / inputs.size

    return jax.grad(loss)(params)


def _compare(a, b):
    """(cosine, norm ratio) of two lists of arrays, in float64, at any scale."""
    (a, log_a), (b, log_b) = _unit(a), _unit(b)
    cosine = sum(float(np.vdot(x, y)) for x, y in zip(a, b, strict=True))
    with np.errstate(invalid="ignore"):
        return np.clip(cosine, -1.0, 1.0), np.exp(log_a - log_b)


def _unit(arrays):
    """Returns the arrays divided by their norm, and its logarithm; NaN and -inf for zeros."""
    arrays = [np.asarray(a, np.float64) for a in arrays]
    top = np.max([np.max(np.abs(a), initial=0.0) for a in arrays], initial=0.0)
    if top == 0:
        return [np.full(a.shape, np.nan) for a in arrays], -np.inf
    with np.errstate(invalid="ignore"):
        scaled = [a / top for a in arrays]
        norm = np.sqrt(sum(np.vdot(a, a) for a in scaled))
        return [a / norm for a in scaled], np.log(top) + np.log(norm)
