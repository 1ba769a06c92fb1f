"""Long short-term memory: its equations, its parts for the fused engine, and cuDNN's kernels."""

from lm_jax.cells.lstm.cell import LSTMCarry, LSTMParams, lstm


__all__ = ["LSTMCarry", "LSTMParams", "lstm"]
