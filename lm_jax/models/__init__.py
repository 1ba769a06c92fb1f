"""Language models: one contract (language_model.py), one file a family."""

from lm_jax.models.language_model import LanguageModel
from lm_jax.models.recurrent import RecurrentLMParams, from_config, recurrent_lm


__all__ = ["LanguageModel", "RecurrentLMParams", "from_config", "recurrent_lm"]
