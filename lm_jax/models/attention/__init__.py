"""The causal Transformer: rotary positions, attention over a cache, the layer as a cell, and the language model."""

from lm_jax.models.attention.model import attention_lm


__all__ = ["attention_lm"]
