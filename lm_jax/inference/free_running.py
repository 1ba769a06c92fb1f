"""The free-running loss: the true tokens under a model that reads its own text, against one that reads the true text.

A model is trained on the true past and generates from its own. Of each line the first p tokens are read as they are;
then the model reads its own tokens, and the true token is scored under both pasts. With x the line, x_0 the end-of-line
token, and y the model's own choices, y_i ~ P(. | x_0 .. x_p, y_1 .. y_{i-1}), after d of them:

    J_true(d) = -mean log P(x_{p+1+d} | x_0 .. x_p, x_{p+1} .. x_{p+d})         teacher forcing
    J_own(d)  = -mean log P(x_{p+1+d} | x_0 .. x_p, y_1 .. y_d)                 free-running
    exposure bias = J_own - J_true                                              nats per token, 0 at d = 0

The bias has two parts: the true continuation is not known (a perfect model pays for that too: another continuation,
however good, tells less about this one), and the model's own text is unlike what it was trained on. Ranzato et al.
2016; Bengio et al. 2015. The continuation runs over the end of a line as `mode` says, up to where the true line ends.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from lm_jax.cells.base import select
from lm_jax.errors import UserError, check_sizes, one_of
from lm_jax.inference.keys import check_key
from lm_jax.inference.sampling import Sampler
from lm_jax.inference.token_ids import checked_ids
from lm_jax.layers import target_log_probs
from lm_jax.models.language_model import LanguageModel
from lm_jax.short_repr import shortly_shown
from lm_jax.types import Key, Params


@shortly_shown
class FreeRunning(NamedTuple):
    """Lines under two pasts; on the host. K: continuations of a line.

    given_true [T, B] and given_own [T, K, B]: log-probabilities of the true tokens in nats, unspecified where masked.
    choices [T, K, B]: the model's own token at each position; it is read where the next one has a distance above 0.
    distance [T, B]: number of its own tokens that the model has read. mask [T, B]: the second parts of the lines.
    """

    given_true: Float[np.ndarray, "T B"]
    given_own: Float[np.ndarray, "T K B"]
    choices: Int[np.ndarray, "T K B"]
    distance: Int[np.ndarray, "T B"]
    mask: Bool[np.ndarray, "T B"]

    @property
    def tokens(self) -> int:
        """Positions that count: the true tokens of all second parts."""
        return int(self.mask.sum())

    @property
    def teacher_forced(self) -> float:
        """J_true over all positions: nats per token (summed in float64)."""
        return -float(np.mean(self.given_true[self.mask], dtype=np.float64))

    @property
    def free_running(self) -> float:
        """J_own over all positions and continuations: nats per token."""
        return -float(np.mean(self._own()[self.mask]))

    @property
    def exposure_bias(self) -> float:
        """free_running - teacher_forced: nats per token."""
        return self.free_running - self.teacher_forced

    def by_distance(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """J_true [D], J_own [D] and the number of lines [D] at the distances 0, 1, ... own tokens."""
        distance = self.distance[self.mask]
        lines = np.bincount(distance)
        sums = [np.bincount(distance, values[self.mask]) for values in (self.given_true, self._own())]
        return -sums[0] / lines, -sums[1] / lines, lines

    def _own(self) -> np.ndarray:
        return np.asarray(np.mean(self.given_own, axis=1, dtype=np.float64))


def free_running_loss(
    model: LanguageModel,
    params: Params,
    lines: Sequence[np.ndarray],
    prefix: int | Sequence[int],
    key: Key,
    *,
    eol_id: int,
    num_samples: int = 1,
    sampler: Sampler = Sampler(),
    mode: str = "stream",
) -> FreeRunning:
    """Computes the log-probabilities of lines given their true past, and given continuations that the model sampled.

    All lines are one batch, in memory at once: (1 + num_samples) B V logits.

    Args:
        model: any language model.
        params: its parameters.
        lines: ids of each line, with its end.
        prefix: number of true tokens before the model reads its own, for all lines or for each.
        key: of the samples.
        eol_id: the end-of-line token.
        num_samples: continuations of each line.
        sampler: how the model chooses its tokens.
        mode: what follows when the model ends its line early: "stream" (the carry runs on) or "sentence" (it is
            reset).

    Returns:
        The log-probabilities, and the tokens that the model chose.

    Raises:
        UserError: for a line that its prefix leaves nothing of, and for an unknown mode.
    """
    check_sizes(num_samples=num_samples)
    check_key(key)
    restart = one_of("mode", mode, {"stream": False, "sentence": True})
    tokens, lengths, read = _pad([checked_ids(line, model.vocab_size) for line in lines], prefix, eol_id)
    run = _jitted_run(model, sampler, num_samples, eol_id, restart)
    log_probs, choices = map(np.asarray, run(params, tokens, read, key))
    times = np.arange(len(tokens))[:, None]
    mask = (times >= read) & (times < lengths)
    return FreeRunning(log_probs[:, 0], log_probs[:, 1:], choices, times - read, mask)


def _pad(lines, prefix, eol_id):
    """Returns the lines as tokens [T, B], their lengths [B] and what is read of each [B]."""
    if not len(lines):
        raise UserError("the free-running loss needs at least one line, got none")
    lengths = np.asarray([len(line) for line in lines])
    read = np.broadcast_to(np.asarray(prefix, np.int32), lengths.shape)
    for number, (tokens_read, length) in enumerate(zip(read, lengths, strict=True), 1):
        if not 0 <= tokens_read < length:
            raise UserError(
                f"a prefix must leave at least one token of its line, got {tokens_read} of {length} in line {number}"
            )
    tokens = np.full((lengths.max(), len(lines)), eol_id, np.int32)
    for column, line in enumerate(lines):
        tokens[: len(line), column] = line
    return tokens, lengths, read


@functools.cache
def _jitted_run(model, sampler, num_samples, eol_id, restart):
    """Reads both pasts in one scan of `step`, as rows [1 + K, B] of one batch: row 0 always reads the true token."""

    def run(params, tokens, prefix, key):
        rows = (1 + num_samples, tokens.shape[1])
        initial = model.initial_carry(params, rows)

        def body(state, slices):
            carry, read = state
            position, true = slices
            if restart:
                carry = select(read == eol_id, initial, carry)
            carry, logits = model.step(params, carry, read)
            log_probs = target_log_probs(logits, jnp.broadcast_to(true, rows))
            choices = sampler(jax.random.fold_in(key, position), logits[1:])
            tokens_read = jnp.where(position < prefix, true, choices)
            return (carry, jnp.concatenate([true[None], tokens_read])), (log_probs, choices)

        start = (initial, jnp.full(rows, eol_id, jnp.int32))
        return jax.lax.scan(body, start, (jnp.arange(len(tokens)), tokens))[1]

    return jax.jit(run)
