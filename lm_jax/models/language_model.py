"""The contract that every language model satisfies, from n-gram counts to stacks of LSTMs.

A model predicts the next token from a carry and the current token. Its vocabulary is exactly what it can predict;
the end-of-line token is one of it and is also the first input of every stream, so that the first word is predicted
too. With x_1 .. x_n the tokens of a stream, x_0 the end-of-line token:

    carry_t, logits_t = step(params, carry_{t-1}, x_{t-1})        P(x_t | x_0 .. x_{t-1}) = softmax(logits_t)[x_t]

The laws of a cell (lm_jax/cells/base.py) hold for models too, and: `score` equals gathering the log-softmax of
`unroll`; probabilities sum to one, over the vocabulary and over all strings of one length.
"""

from typing import NamedTuple, Protocol

from lm_jax.cells.base import InitFn, InitialCarryFn
from lm_jax.types import Carry, Key, Logits, LogProbs, Mask, Params, Tokens


class LMStepFn(Protocol):
    """One token [*B] to the logits of the next [*B, V]."""

    def __call__(self, params: Params, carry: Carry, token: Tokens) -> tuple[Carry, Logits]: ...


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


class LanguageModel(NamedTuple):
    """A language model: pure functions over tokens, and the size of its vocabulary."""

    init: InitFn
    initial_carry: InitialCarryFn
    step: LMStepFn
    unroll: LMUnrollFn
    score: ScoreFn
    vocab_size: int
