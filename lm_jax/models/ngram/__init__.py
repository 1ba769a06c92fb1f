"""Count-based language models: counting, estimators, and one table form behind the LanguageModel contract.

Counting and estimation need no JAX; `ngram_lm` is what brings it in, at its first use.
"""

from typing import TYPE_CHECKING

from lm_jax.config.estimators import ESTIMATORS
from lm_jax.lazy import lazy_names
from lm_jax.models.ngram.counts import count_ngrams
from lm_jax.models.ngram.estimate import Estimate, estimate
from lm_jax.models.ngram.pruning import prune_by_entropy
from lm_jax.models.ngram.score_text import text_log_probs
from lm_jax.models.ngram.tables import BackoffParams


if TYPE_CHECKING:
    from lm_jax.models.ngram.model import ngram_lm

__all__ = [
    "ESTIMATORS",
    "BackoffParams",
    "Estimate",
    "count_ngrams",
    "estimate",
    "ngram_lm",
    "prune_by_entropy",
    "text_log_probs",
]

__getattr__, _ = lazy_names(__name__, {"ngram_lm": "lm_jax.models.ngram.model"})
