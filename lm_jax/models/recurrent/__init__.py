"""The recurrent language model: any cell between an embedding and a softmax, a full or an adaptive one."""

from lm_jax.models.recurrent.adaptive_softmax import AdaptiveLMParams, AdaptiveParams, ClusterParams
from lm_jax.models.recurrent.model import RecurrentLMParams, recurrent_lm


__all__ = ["AdaptiveLMParams", "AdaptiveParams", "ClusterParams", "RecurrentLMParams", "recurrent_lm"]
