"""Count-based language models: counting, estimators, and one table form behind the LanguageModel contract.

Counting and estimation need no JAX; `lm_jax.models.ngram.model` is what brings it in.
"""

from lm_jax.config.estimators import ESTIMATORS
from lm_jax.models.ngram.counts import count_ngrams
from lm_jax.models.ngram.estimate import Estimate, estimate
from lm_jax.models.ngram.tables import BackoffParams


__all__ = ["ESTIMATORS", "BackoffParams", "Estimate", "count_ngrams", "estimate"]
