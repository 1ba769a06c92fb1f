"""Recurrent cells: pure functions on `lax.scan`, a room each. README.md tells how to add one."""

from lm_jax.cells.base import Cell, Observed, hoisted_cell, scan_unroll
from lm_jax.cells.block import block
from lm_jax.cells.convolution import convolved
from lm_jax.cells.cornn import cornn
from lm_jax.cells.diagonal import diagonal_gru, diagonal_lstm
from lm_jax.cells.drop_connect import drop_connect
from lm_jax.cells.gated_deltanet import gated_deltanet
from lm_jax.cells.gru import GRUParams, gru
from lm_jax.cells.linear import linear_cell
from lm_jax.cells.lru import lru
from lm_jax.cells.lstm import LSTMCarry, LSTMParams, lstm
from lm_jax.cells.mingru import mingru
from lm_jax.cells.minlstm import minlstm
from lm_jax.cells.mlstm import mlstm
from lm_jax.cells.parallel import Unrolled, unroll_parallel
from lm_jax.cells.rglru import rglru
from lm_jax.cells.rnn import RNNParams, rnn
from lm_jax.cells.slstm import slstm
from lm_jax.cells.stack import StackParams, input_sizes, stacked


# `gru`, `lstm` and other cells name a room and the factory in it. The imports above load every room before they bind
# the factories, and a module is loaded once: the names are the factories' for good (tests/cells/test_rooms.py).
__all__ = [
    "Cell",
    "GRUParams",
    "LSTMCarry",
    "LSTMParams",
    "Observed",
    "RNNParams",
    "StackParams",
    "Unrolled",
    "block",
    "convolved",
    "cornn",
    "diagonal_gru",
    "diagonal_lstm",
    "drop_connect",
    "gated_deltanet",
    "gru",
    "hoisted_cell",
    "input_sizes",
    "linear_cell",
    "lru",
    "lstm",
    "mingru",
    "minlstm",
    "mlstm",
    "rglru",
    "rnn",
    "scan_unroll",
    "slstm",
    "stacked",
    "unroll_parallel",
]
