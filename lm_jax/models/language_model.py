"""The contract that every language model satisfies, from n-gram counts to stacks of LSTMs.

A model predicts the next token from a carry and the current token. Its vocabulary is exactly what it can predict;
the end-of-line token is one of it and is also the first input of every stream, so that the first word is predicted
too. With x_1 .. x_n the tokens of a stream, x_0 the end-of-line token:

    carry_t, logits_t = step(params, carry_{t-1}, x_{t-1})        P(x_t | x_0 .. x_{t-1}) = softmax(logits_t)[x_t]

The laws of a cell (lm_jax/cells/base.py) hold for models too, and: `score` equals gathering the log-softmax of
`unroll`; probabilities sum to one, over the vocabulary and over all strings of one length.
"""

from typing import Any, NamedTuple, Protocol

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lm_jax.cells.base import Cell, InitFn, InitialCarryFn
from lm_jax.errors import UserError
from lm_jax.types import Carry, Key, Logits, LogProbs, Mask, Params, Tokens


class LMStepFn(Protocol):
    """One token [*B] to the logits of the next [*B, V]."""

    def __call__(self, params: Params, carry: Carry, token: Int[Array, "*B"]) -> tuple[Carry, Float[Array, "*B V"]]: ...


class LMUnrollFn(Protocol):
    """Tokens [T, *B] to the logits of the token after each [T, *B, V]."""

    def __call__(
        self,
        params: Params,
        carry: Carry,
        tokens: Tokens,
        *,
        mask: Mask | None = None,
        reset: Mask | None = None,
        key: Key | None = None,
    ) -> tuple[Carry, Logits]: ...


class ScoreFn(Protocol):
    """Log-probabilities [T, *B] in nats of `targets` after `inputs`; 0 where `mask` is False."""

    def __call__(
        self,
        params: Params,
        carry: Carry,
        inputs: Tokens,
        targets: Tokens,
        *,
        mask: Mask | None = None,
        reset: Mask | None = None,
        key: Key | None = None,
    ) -> tuple[Carry, LogProbs]: ...


class HiddenFn(Protocol):
    """Tokens [T, *B] to the top layer's outputs [T, *B, H] before and after dropout, and the last carry."""

    def __call__(
        self,
        params: Params,
        carry: Carry,
        tokens: Tokens,
        *,
        mask: Mask | None = None,
        reset: Mask | None = None,
        key: Key | None = None,
    ) -> tuple[Carry, Float[Array, "T *B H"], Float[Array, "T *B H"]]: ...


class EmbedFn(Protocol):
    """Tokens [*N] to the cell's inputs [*N, E], without dropout."""

    def __call__(self, params: Params, tokens: Int[Array, "*N"]) -> Float[Array, "*N E"]: ...


class LogitsFn(Protocol):
    """Outputs [*N, H] of the top layer to logits [*N, V]."""

    def __call__(self, params: Params, ys: Float[Array, "*N H"]) -> Float[Array, "*N V"]: ...


class LogProbsFn(Protocol):
    """Outputs [*N, H] of the top layer and targets [*N] to log P(target) [*N] in nats."""

    def __call__(self, params: Params, ys: Float[Array, "*N H"], targets: Int[Array, "*N"]) -> Float[Array, "*N"]: ...


class VocabAxesFn(Protocol):
    """A tree like the parameters: for every leaf the number of its vocabulary axis, or -1 for none.

    Along that axis a parameter may be cut into one piece a device.
    """

    def __call__(self, params: Params) -> Any: ...


class Opened(NamedTuple):
    """A recurrent model at its hidden states, for what needs them: penalties, caches, analysis.

    `cell` is what is between embedding and softmax, with the parameters `params.cell`.
    """

    hidden: HiddenFn
    log_probs: LogProbsFn
    cell: Cell
    embed: EmbedFn
    logits: LogitsFn


class LanguageModel(NamedTuple):
    """A language model: pure functions over tokens, and the size of its vocabulary.

    `opened` is None for a model without a recurrent network. `vocab_axes` is None where no parameter has a vocabulary
    axis along which it may be cut.
    """

    init: InitFn
    initial_carry: InitialCarryFn
    step: LMStepFn
    unroll: LMUnrollFn
    score: ScoreFn
    vocab_size: int
    opened: Opened | None = None
    vocab_axes: VocabAxesFn | None = None


def step_of(unroll: LMUnrollFn) -> LMStepFn:
    """Makes the step of a model from its `unroll`: a text of one token."""

    def step(params, carry, token):
        carry, logits = unroll(params, carry, token[None])
        return carry, logits[0]

    return step


def masked_log_probs(log_probs: LogProbs, mask: Mask | None) -> LogProbs:
    """Returns the log-probabilities [T, *B] with 0 where the mask is False."""
    return log_probs if mask is None else jnp.where(mask, log_probs, 0.0)


def check_vocab_size(vocab_size: int) -> None:
    """Raises UserError for a vocabulary of fewer than two entries: there is nothing to predict."""
    if vocab_size < 2:
        raise UserError(f"a language model needs a vocabulary of at least 2 entries, got {vocab_size}")
