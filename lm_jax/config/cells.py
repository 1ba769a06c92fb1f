"""Recurrent cells and their settings. A new cell is one file in lm_jax/cells/ and one line in `CELLS`.

The factory of a cell is called with (input_size, hidden_size), and with those options that its settings have.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from lm_jax.config.kinds import Kind, choose
from lm_jax.config.modern_cells import (
    CoRNNConfig,
    DiagonalLSTMConfig,
    GatedDeltaNetConfig,
    LRUConfig,
    MinGRUConfig,
    MinLSTMConfig,
    MLSTMConfig,
    RGLRUConfig,
    SLSTMConfig,
)
from lm_jax.config.settings import finite, positive, setting
from lm_jax.errors import UserError


RECURRENCE = (
    "How the cell runs over time: scan, the plain loop; fused, faster by a derivative written by hand, which cannot be "
    "differentiated again or in forward mode; auto, fused where it was measured to be faster, else scan"
)
PALLAS = "pallas, a kernel for TPUs that keeps the recurrent weights on the chip, which has not run on a TPU yet"


@dataclasses.dataclass(frozen=True)
class InitConfig:
    """Initial weights, for cells and layers that draw them so."""

    init: Literal["orthogonal", "identity", "uniform"] = setting(
        "orthogonal",
        "Initial recurrent weights, gate by gate. uniform draws input weights and biases too, as torch does.",
    )
    init_scale: float | None = setting(
        None,
        "Scale of the orthogonal or identity matrix (1 if not given). Of uniform: its bound (1/sqrt(hidden_size)).",
        rule=positive,
    )


@dataclasses.dataclass(frozen=True)
class RNNConfig(InitConfig):
    """The simple recurrent cell."""

    kind: ClassVar[str] = "rnn"

    nonlinearity: Literal["tanh", "relu", "sigmoid", "identity"] = setting("tanh", "Activation function of the units.")
    recurrence: Literal["auto", "scan", "fused", "pallas"] = setting("auto", f"{RECURRENCE}; {PALLAS}.")


@dataclasses.dataclass(frozen=True)
class GRUConfig(InitConfig):
    """The gated recurrent unit."""

    kind: ClassVar[str] = "gru"

    reset: Literal["after", "before"] = setting(
        "after",
        "Place of the reset gate: after the recurrent product (cuDNN) or before it (textbook).",
        flag="gru_reset",
    )
    recurrence: Literal["auto", "scan", "fused", "pallas"] = setting("auto", f"{RECURRENCE}; {PALLAS}.")


@dataclasses.dataclass(frozen=True)
class LSTMConfig(InitConfig):
    """Long short-term memory."""

    kind: ClassVar[str] = "lstm"

    forget_bias: float = setting(1.0, "Initial bias of the forget gate.", rule=finite)
    recurrence: Literal["auto", "scan", "fused", "cudnn", "pallas"] = setting(
        "auto", f"{RECURRENCE}; cudnn, NVIDIA's LSTM, not shown to be right; {PALLAS}."
    )


CELLS: dict[str, Kind] = {
    "rnn": Kind("lm_jax.cells:rnn", RNNConfig),
    "gru": Kind("lm_jax.cells:gru", GRUConfig),
    "lstm": Kind("lm_jax.cells:lstm", LSTMConfig),
    "mingru": Kind("lm_jax.cells:mingru", MinGRUConfig),
    "minlstm": Kind("lm_jax.cells:minlstm", MinLSTMConfig),
    "lru": Kind("lm_jax.cells:lru", LRUConfig),
    "rglru": Kind("lm_jax.cells:rglru", RGLRUConfig),
    "slstm": Kind("lm_jax.cells:slstm", SLSTMConfig),
    "mlstm": Kind("lm_jax.cells:mlstm", MLSTMConfig),
    "gated_deltanet": Kind("lm_jax.cells:gated_deltanet", GatedDeltaNetConfig),
    "cornn": Kind("lm_jax.cells:cornn", CoRNNConfig),
    "diagonal_gru": Kind("lm_jax.cells:diagonal_gru"),
    "diagonal_lstm": Kind("lm_jax.cells:diagonal_lstm", DiagonalLSTMConfig),
}


TITLES = {  # where it is not the name in capitals
    "mingru": "minGRU",
    "minlstm": "minLSTM",
    "rglru": "RG-LRU",
    "slstm": "sLSTM",
    "mlstm": "mLSTM",
    "gated_deltanet": "Gated DeltaNet",
    "cornn": "coRNN",
    "diagonal_gru": "diagonal GRU",
    "diagonal_lstm": "diagonal LSTM",
}


def cell_title(name: str) -> str:
    """Returns a cell's name as tables and legends write it, such as LSTM or minGRU."""
    return TITLES.get(name, name.upper())


@dataclasses.dataclass(frozen=True)
class UserCell:
    """A cell of a user's own: its name for the record, and its factory (input_size, hidden_size) -> Cell.

    The factory is never looked up by the name: a run folder cannot make anything import code. Whoever opens such a run
    gives the cell again.
    """

    kind: str
    factory: Callable[..., Any] | None = dataclasses.field(default=None, compare=False, repr=False)

    def make(self) -> Callable[..., Any]:
        """Returns the factory; raises UserError where it was not given."""
        if self.factory is None:
            raise UserError(f"give cell {self.kind} again: it is of a user's own file", ["cell"])
        return self.factory


def cell_settings(value: Any) -> Any:
    """Returns the settings of a cell: themselves, those of a cell's name, or a `UserCell` for a function.

    The name FILE.py:NAME of a user's own cell gives a `UserCell` without a factory.
    """
    if isinstance(value, UserCell):
        return value
    if callable(value):
        return UserCell(f"{value.__module__}:{value.__qualname__}", value)
    if isinstance(value, str) and ":" in value:
        return UserCell(value)
    try:
        return choose("cell", value, CELLS)
    except UserError as error:
        raise UserError(f"{error}; FILE.py:NAME for a cell of your own", ["cell"]) from None
