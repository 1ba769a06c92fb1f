"""The simple recurrent network: its equations, and its parts for the fused engine."""

from lm_jax.cells.rnn.cell import NONLINEARITIES, RNNParams, rnn


__all__ = ["NONLINEARITIES", "RNNParams", "rnn"]
