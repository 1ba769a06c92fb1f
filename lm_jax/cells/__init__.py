"""Recurrent cells: pure functions on `lax.scan`, a room each. README.md tells how to add one."""

from lm_jax.cells.base import Cell, Observed, hoisted_cell, scan_unroll
from lm_jax.cells.drop_connect import drop_connect
from lm_jax.cells.gru import GRUParams, gru
from lm_jax.cells.lstm import LSTMCarry, LSTMParams, lstm
from lm_jax.cells.rnn import RNNParams, rnn
from lm_jax.cells.stack import StackParams, input_sizes, stacked


# `gru`, `lstm` and `rnn` name a room and the factory in it. The imports above load every room before they bind the
# factories, and a module is loaded once: the names are the factories' for good (tests/cells/test_rooms.py).
__all__ = [
    "Cell",
    "GRUParams",
    "LSTMCarry",
    "LSTMParams",
    "Observed",
    "RNNParams",
    "StackParams",
    "drop_connect",
    "gru",
    "hoisted_cell",
    "input_sizes",
    "lstm",
    "rnn",
    "scan_unroll",
    "stacked",
]
