"""Encoders: what reads a whole sequence and may look right; directions, stacks, and pooling to one vector."""

from lm_jax.encoders.base import Encoder, Place, UnrollAtFn, check_mask
from lm_jax.encoders.directions import BidirectionalParams, bidirectional, unidirectional, unroll_at
from lm_jax.encoders.pooling import POOLING, pool_ends, pool_first, pool_last, pool_max, pool_mean
from lm_jax.encoders.stack import HighwayEncoderParams, stacked_encoder


__all__ = [
    "POOLING",
    "BidirectionalParams",
    "Encoder",
    "HighwayEncoderParams",
    "Place",
    "UnrollAtFn",
    "bidirectional",
    "check_mask",
    "pool_ends",
    "pool_first",
    "pool_last",
    "pool_max",
    "pool_mean",
    "stacked_encoder",
    "unidirectional",
    "unroll_at",
]
