"""Settings of the cells that came after the LSTM: linear recurrences, exponential gates, matrix memories."""

import dataclasses
from typing import ClassVar, Literal

from lm_jax.config.settings import count, finite, not_negative, positive, rate, setting


LINEAR = setting(
    "auto",
    "How the cell runs over time: scan, the plain loop; associative, a parallel prefix; auto, by device and length.",
)
CHUNKWISE = setting(
    "auto", "How the cell runs over time: scan, the plain loop; chunkwise, some tens of steps at once; auto, chunkwise."
)
HEADS = "Parts of the state with weights of their own; must divide the hidden size."


def _forget_bias(default):
    return setting(default, "Initial bias of the forget gate.", rule=finite)


@dataclasses.dataclass(frozen=True)
class MinGRUConfig:
    """The minimal GRU, linear in its state."""

    kind: ClassVar[str] = "mingru"

    recurrence: Literal["auto", "scan", "associative"] = LINEAR


@dataclasses.dataclass(frozen=True)
class MinLSTMConfig:
    """The minimal LSTM, linear in its state."""

    kind: ClassVar[str] = "minlstm"

    forget_bias: float = _forget_bias(1.0)
    recurrence: Literal["auto", "scan", "associative"] = LINEAR


@dataclasses.dataclass(frozen=True)
class LRUConfig:
    """The linear recurrent unit: complex eigenvalues, no gates."""

    kind: ClassVar[str] = "lru"

    r_min: float = setting(0.9, "Smallest modulus of an eigenvalue at the start.", rule=rate)
    r_max: float = setting(0.999, "Largest modulus of an eigenvalue at the start.", rule=rate)
    max_phase: float = setting(0.314, "Largest phase of an eigenvalue at the start, in radians.", rule=positive)
    recurrence: Literal["auto", "scan", "associative"] = LINEAR


@dataclasses.dataclass(frozen=True)
class RGLRUConfig:
    """The real-gated linear recurrent unit of Griffin."""

    kind: ClassVar[str] = "rglru"

    convolution: int = setting(
        0, "Steps seen by a convolution over time before the unit, 4 in the paper; 0: none.", rule=not_negative
    )
    recurrence: Literal["auto", "scan", "associative"] = LINEAR


@dataclasses.dataclass(frozen=True)
class SLSTMConfig:
    """The sLSTM: exponential gates and a normaliser."""

    kind: ClassVar[str] = "slstm"

    heads: int = setting(1, HEADS, rule=count)
    forget: Literal["sigmoid", "exponential"] = setting("sigmoid", "Function of the forget gate.")
    forget_bias: float = _forget_bias(1.0)


@dataclasses.dataclass(frozen=True)
class MLSTMConfig:
    """The mLSTM: a matrix memory with exponential gates."""

    kind: ClassVar[str] = "mlstm"

    heads: int = setting(1, HEADS, rule=count)
    forget_bias: float = _forget_bias(3.0)
    recurrence: Literal["auto", "scan", "chunkwise"] = CHUNKWISE


@dataclasses.dataclass(frozen=True)
class GatedDeltaNetConfig:
    """Gated DeltaNet: a matrix memory that corrects what it holds."""

    kind: ClassVar[str] = "gated_deltanet"

    heads: int = setting(1, HEADS, rule=count)
    beta_max: float = setting(
        2.0, "Largest step of a correction; above 1 there are negative eigenvalues.", rule=positive
    )
    recurrence: Literal["auto", "scan", "chunkwise"] = CHUNKWISE


@dataclasses.dataclass(frozen=True)
class CoRNNConfig:
    """The coupled oscillatory network."""

    kind: ClassVar[str] = "cornn"

    dt: float = setting(0.1, "Length of a step in time.", rule=positive)
    gamma: float = setting(3.0, "Squared frequency of the oscillators.", rule=positive)
    epsilon: float = setting(5.0, "Friction of the oscillators.", rule=not_negative)


@dataclasses.dataclass(frozen=True)
class DiagonalLSTMConfig:
    """The LSTM whose recurrent matrices are diagonals."""

    kind: ClassVar[str] = "diagonal_lstm"

    forget_bias: float = _forget_bias(1.0)
