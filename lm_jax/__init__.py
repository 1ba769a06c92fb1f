"""lm_jax: language models and recurrent networks as pure functions in JAX.

`import lm_jax` is quick: each name below loads its module at first use.
"""

import importlib


TYPE_CHECKING = False  # true for a type checker, by its name; `typing` alone would double the time of this import
if TYPE_CHECKING:
    from typing import Any

    from lm_jax import analysis, cells, data, inference, models, queries, training
    from lm_jax import encoders as encoders
    from lm_jax import interop as interop
    from lm_jax import machine as machine
    from lm_jax import tasks as tasks
    from lm_jax.config import DataConfig, NGramConfig, OptimizerConfig, RecurrentConfig, TrainConfig, WindowConfig
    from lm_jax.errors import UserError
    from lm_jax.interactive.train import (
        resume,
        train,
        train_classifier,
        train_ngram,
        train_seeds,
        train_tagger,
        train_translator,
    )
    from lm_jax.models import ngram
    from lm_jax.queries import compare, evaluate, generate, gradients, load
    from lm_jax.training import Listener

    __version__: str

__all__ = [
    "DataConfig",
    "Listener",
    "NGramConfig",
    "OptimizerConfig",
    "RecurrentConfig",
    "TrainConfig",
    "UserError",
    "WindowConfig",
    "__version__",
    "analysis",
    "cells",
    "compare",
    "data",
    "evaluate",
    "generate",
    "gradients",
    "inference",
    "load",
    "models",
    "ngram",
    "queries",
    "resume",
    "train",
    "train_classifier",
    "train_ngram",
    "train_seeds",
    "train_tagger",
    "train_translator",
    "training",
]

_HOMES = {
    "DataConfig": "lm_jax.config",
    "Listener": "lm_jax.training",
    "NGramConfig": "lm_jax.config",
    "OptimizerConfig": "lm_jax.config",
    "RecurrentConfig": "lm_jax.config",
    "TrainConfig": "lm_jax.config",
    "UserError": "lm_jax.errors",
    "WindowConfig": "lm_jax.config",
    "compare": "lm_jax.queries",
    "evaluate": "lm_jax.queries",
    "generate": "lm_jax.queries",
    "gradients": "lm_jax.queries",
    "load": "lm_jax.queries",
    **dict.fromkeys(("resume", "train", "train_classifier", "train_ngram"), "lm_jax.interactive.train"),
    **dict.fromkeys(("train_seeds", "train_tagger", "train_translator"), "lm_jax.interactive.train"),
}
_NAMESPACES = {
    **{name: f"lm_jax.{name}" for name in ("analysis", "cells", "data", "encoders", "inference", "interop", "machine")},
    **{name: f"lm_jax.{name}" for name in ("models", "queries", "tasks", "training")},
    "ngram": "lm_jax.models.ngram",
}


def __getattr__(name: str) -> "Any":
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _NAMESPACES:
        value = importlib.import_module(_NAMESPACES[name])
    elif name == "__version__":
        from importlib.metadata import version

        value = version("lm-jax")
    else:
        raise AttributeError(f"module 'lm_jax' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
