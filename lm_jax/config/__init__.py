"""Every setting of a run, as frozen dataclasses: the command line's flags and a script's arguments are the same thing.

Nothing here imports JAX, so that `lm-jax --help` answers at once.
"""

from lm_jax.config.attention import AttentionConfig
from lm_jax.config.averagings import AVERAGINGS, EMA, NTASGD
from lm_jax.config.cells import CELLS, GRUConfig, LSTMConfig, RNNConfig, UserCell, cell_title
from lm_jax.config.classify import ClassifierConfig, ClassifyConfig
from lm_jax.config.data import DataConfig
from lm_jax.config.encoder import EncoderConfig
from lm_jax.config.estimators import ESTIMATORS, AddK
from lm_jax.config.files import from_dict, read_record, read_settings, to_dict
from lm_jax.config.flat import flat_settings, from_flat
from lm_jax.config.given import config_given
from lm_jax.config.kinds import Kind, NoSettings
from lm_jax.config.labelled import LabelledDataConfig
from lm_jax.config.models import MODELS, RecurrentConfig, WindowConfig
from lm_jax.config.ngram import NGramConfig
from lm_jax.config.optimizer import OptimizerConfig
from lm_jax.config.parallel import ParallelDataConfig
from lm_jax.config.schedules import SCHEDULES, CosineSchedule, PlateauSchedule
from lm_jax.config.settings import setting
from lm_jax.config.tag import CHAR_FEATURES, CharCNN, CharLSTM, TagConfig, TaggedDataConfig, TaggerConfig
from lm_jax.config.train import RunConfig, TrainConfig
from lm_jax.config.translate import TranslateConfig, TranslatorConfig


__all__ = [
    "AVERAGINGS",
    "CELLS",
    "CHAR_FEATURES",
    "EMA",
    "ESTIMATORS",
    "MODELS",
    "NTASGD",
    "SCHEDULES",
    "AddK",
    "AttentionConfig",
    "CharCNN",
    "CharLSTM",
    "ClassifierConfig",
    "ClassifyConfig",
    "CosineSchedule",
    "DataConfig",
    "EncoderConfig",
    "GRUConfig",
    "Kind",
    "LSTMConfig",
    "LabelledDataConfig",
    "NGramConfig",
    "NoSettings",
    "OptimizerConfig",
    "ParallelDataConfig",
    "PlateauSchedule",
    "RNNConfig",
    "RecurrentConfig",
    "RunConfig",
    "TagConfig",
    "TaggedDataConfig",
    "TaggerConfig",
    "TrainConfig",
    "TranslateConfig",
    "TranslatorConfig",
    "UserCell",
    "WindowConfig",
    "cell_title",
    "config_given",
    "flat_settings",
    "from_dict",
    "from_flat",
    "read_record",
    "read_settings",
    "setting",
    "to_dict",
]
