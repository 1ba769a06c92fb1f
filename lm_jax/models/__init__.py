"""Language models: one contract (language_model.py), one file a family."""

from lm_jax.models.build import from_config
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.recurrent import RecurrentLM, RecurrentLMParams, recurrent_lm


__all__ = ["LanguageModel", "RecurrentLM", "RecurrentLMParams", "from_config", "recurrent_lm"]
