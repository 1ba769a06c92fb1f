"""Language models: one contract (language_model.py), one file or folder a family.

A name loads its module at first use: counting n-grams needs no JAX.
"""

from typing import TYPE_CHECKING

from lm_jax.lazy import lazy_names


if TYPE_CHECKING:
    from lm_jax.models.attention import attention_lm
    from lm_jax.models.build import from_config
    from lm_jax.models.caches import continuous_cache, continuous_cache_params, unigram_cache
    from lm_jax.models.interpolation import mixture, mixture_params
    from lm_jax.models.language_model import LanguageModel
    from lm_jax.models.ngram.model import ngram_lm
    from lm_jax.models.recurrent import recurrent_lm
    from lm_jax.models.window import window_lm

__all__ = [
    "LanguageModel",
    "attention_lm",
    "continuous_cache",
    "continuous_cache_params",
    "from_config",
    "mixture",
    "mixture_params",
    "ngram_lm",
    "recurrent_lm",
    "unigram_cache",
    "window_lm",
]

_HOMES = {
    "LanguageModel": "lm_jax.models.language_model",
    "attention_lm": "lm_jax.models.attention",
    "continuous_cache": "lm_jax.models.caches",
    "continuous_cache_params": "lm_jax.models.caches",
    "from_config": "lm_jax.models.build",
    "mixture": "lm_jax.models.interpolation",
    "mixture_params": "lm_jax.models.interpolation",
    "ngram_lm": "lm_jax.models.ngram.model",
    "recurrent_lm": "lm_jax.models.recurrent",
    "unigram_cache": "lm_jax.models.caches",
    "window_lm": "lm_jax.models.window",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
