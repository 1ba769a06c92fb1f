"""The pieces of work that `speed.py` times, as sizes; each peer builds them in its own way."""

from collections.abc import Callable
from typing import NamedTuple


class Layers(NamedTuple):
    """Recurrent layers of equal width: forward, and the gradients of sum(weights * outputs) by parameters and inputs.

    direction: "both" passes, or "forward" alone.
    """

    cell: str
    layers: int
    units: int
    batch: int
    steps: int
    direction: str = "both"


class Step(NamedTuple):
    """A training step of an LSTM language model: embedding, dropout, layers with dropout between, dropout, softmax,
    cross-entropy, gradients, clipping by the global norm, SGD."""

    layers: int
    units: int
    vocab_size: int
    tied: bool
    dropout: float
    batch: int
    steps: int


class Generation(NamedTuple):
    """One text, sampled token by token from an LSTM language model."""

    layers: int
    units: int
    vocab_size: int
    tokens: int


class Contender(NamedTuple):
    """run does `units` pieces of work and waits for them; compile_seconds: before the first, None if not told apart."""

    run: Callable[[], None]
    units: int = 1
    compile_seconds: float | None = None


CLIP, LEARNING_RATE = 0.25, 1.0
