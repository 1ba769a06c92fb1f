"""Recurrent cells: pure functions on `lax.scan`. To add one, see "Adding a cell" in the README."""

from lm_jax.cells.base import Cell, scan_unroll
from lm_jax.cells.compose import input_sizes, stacked
from lm_jax.cells.drop_connect import drop_connect
from lm_jax.cells.gru import GRUParams, gru
from lm_jax.cells.lstm import LSTMCarry, LSTMParams, lstm
from lm_jax.cells.rnn import RNNParams, rnn


CELLS = {"rnn": rnn, "gru": gru, "lstm": lstm}

__all__ = [
    "CELLS",
    "Cell",
    "GRUParams",
    "LSTMCarry",
    "LSTMParams",
    "RNNParams",
    "drop_connect",
    "gru",
    "input_sizes",
    "lstm",
    "rnn",
    "scan_unroll",
    "stacked",
]
