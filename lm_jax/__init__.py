"""lm_jax: recurrent and other language models as pure functions in JAX.

`import lm_jax` is quick: each name below loads its module at first use.
"""

import importlib


_HOMES = {
    "lm_jax.errors": ["UserError"],
    "lm_jax.allocation": ["reuse_memory"],
    "lm_jax.config": ["DataConfig", "ModelConfig", "NGramConfig", "OptimizerConfig", "TrainConfig"],
    "lm_jax.data": ["Batches", "Corpus", "Vocabulary", "build_vocabulary", "load_corpus"],
    "lm_jax.cells": ["CELLS", "Cell", "gru", "lstm", "rnn", "scan_unroll", "stacked"],
    "lm_jax.encoders": [
        "POOLING",
        "Encoder",
        "bidirectional",
        "pool_last",
        "pool_max",
        "pool_mean",
        "stacked_encoder",
        "unidirectional",
    ],
    "lm_jax.models.language_model": ["LanguageModel"],
    "lm_jax.models.build": ["from_config"],
    "lm_jax.models.recurrent.model": ["recurrent_lm"],
    "lm_jax.models.ngram": ["estimate"],
    "lm_jax.models.ngram.model": ["ngram_lm"],
    "lm_jax.models.window": ["window_lm"],
    "lm_jax.models.caches.unigram": ["unigram_cache"],
    "lm_jax.models.caches.continuous": ["continuous_cache", "continuous_cache_params"],
    "lm_jax.models.interpolation": ["mixture", "mixture_params"],
    "lm_jax.inference": [
        "Likelihood",
        "Sampler",
        "beam_search",
        "next_tokens",
        "em_weights",
        "fit_cache",
        "fit_mixture",
        "generate",
        "judge_pairs",
        "likelihood",
        "token_log_probs",
    ],
    "lm_jax.training.processes": ["connect"],
    "lm_jax.runs": ["Listener", "Run", "evaluate", "load", "read_run", "resume", "train", "train_ngram", "train_seeds"],
    "lm_jax.report.doctor": ["doctor"],
    "lm_jax.runs.compare": ["compare"],
    "lm_jax.runs.gradients": ["gradients", "text_gradients"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module 'lm_jax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
