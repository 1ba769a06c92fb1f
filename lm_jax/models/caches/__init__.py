"""Cache models: what was read lately is likely to come again, by its frequency or by the state it followed."""

from lm_jax.models.caches.continuous import ContinuousCacheParams, continuous_cache, continuous_cache_params
from lm_jax.models.caches.unigram import UnigramCacheParams, unigram_cache


__all__ = [
    "ContinuousCacheParams",
    "UnigramCacheParams",
    "continuous_cache",
    "continuous_cache_params",
    "unigram_cache",
]
