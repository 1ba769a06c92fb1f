"""The gated recurrent unit: its equations, and its parts for the fused engine."""

from lm_jax.cells.gru.cell import GRUParams, gru


__all__ = ["GRUParams", "gru"]
