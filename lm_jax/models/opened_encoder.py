"""A model opened around its encoder: what the encoder reads, and the probability of an answer given its outputs.

    xs, mask = embed(params, inputs, mask)                [S, *B, E], [S, *B]
    ys = encoder.encode(params.encoder, xs, mask)         [S, *B, H]
    log_probs(params, ys, answers, mask)                  [K, *B]

Classifiers, taggers and translators have one, as a recurrent language model is `Opened` at its hidden states; nothing
in it is random. A log-probability is computed from the odds against it,

    log P(k) = -log(1 + exp(m)),    m = log sum_{j != k} exp(z_j) - z_k,

whose derivative, -P(not k) dm, has all its digits where P(k) is nearly 1: that of z_k - log sum_j exp(z_j) has 1 - P(k)
as a difference of numbers that are nearly equal.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lm_jax.encoders import Encoder
from lm_jax.types import Mask, Params


class OpenedEncoder(NamedTuple):
    """A model around its encoder; the encoder's parameters are `params.encoder`.

    embed: (params, inputs, mask) -> xs and which of them are real, in the order in which the encoder reads them.
    log_probs: (params, ys, answers, mask) -> log P of K answers of every row, in nats.
    reverses: whether that order is from the last position of a row to its first.
    log_prob_at: (params, ys, answers, mask, chosen [*B]) -> that of one answer of every row, [*B], where it costs less
        than all K; None where it does not.
    """

    encoder: Encoder
    embed: Callable[[Params, Any, Mask | None], tuple[Float[Array, "S *B E"], Mask | None]]
    log_probs: Callable[[Params, Array, Any, Mask | None], Float[Array, "K *B"]]
    reverses: bool = False
    log_prob_at: Callable[[Params, Array, Any, Mask | None, Int[Array, "*B"]], Float[Array, "*B"]] | None = None

    def chosen_log_prob(
        self, params: Params, ys: Array, answers: Any, mask: Mask | None, chosen: Int[Array, "*B"]
    ) -> Float[Array, "*B"]:
        """Computes log P of one answer of every row, in nats.

        Args:
            params: The parameters of the model.
            ys: The outputs of the encoder.
            answers: The answers of `log_probs`.
            mask: False is padding.
            chosen: Which of the K answers of each row.
        """
        if self.log_prob_at is not None:
            return self.log_prob_at(params, ys, answers, mask, chosen)
        return jnp.take_along_axis(self.log_probs(params, ys, answers, mask), chosen[None], axis=0)[0]


def log_prob_by_odds(logits: Float[Array, "*N V"], answers: Int[Array, "*N"]) -> Float[Array, "*N"]:
    """Returns log softmax(logits)[answer], by the odds against it."""
    answers = jnp.asarray(answers)
    chosen = jnp.arange(logits.shape[-1]) == answers[..., None]
    others = jax.nn.logsumexp(jnp.where(chosen, -jnp.inf, logits), axis=-1)
    return -jax.nn.softplus(others - jnp.take_along_axis(logits, answers[..., None], axis=-1)[..., 0])
