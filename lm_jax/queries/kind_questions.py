"""The questions that queries ask of the kind of a run's model, each in one function; no other query asks for a kind."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm_jax.config import NGramConfig, TrainConfig
from lm_jax.errors import UserError
from lm_jax.models.build import from_config
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.ngram.estimate import sums_to_one
from lm_jax.models.ngram.model import ngram_lm
from lm_jax.models.ngram.storage import load_tables
from lm_jax.models.ngram.tables import BackoffParams
from lm_jax.models.recurrent import RecurrentLM
from lm_jax.runs.folder import RunFolder
from lm_jax.runs.open import OpenedRun
from lm_jax.training.checkpoints import Checkpoints
from lm_jax.types import Params


Config = TrainConfig | NGramConfig


def kind_name(config: Config) -> str:
    """Names the kind in a column and in the legend of a figure: "n-gram", "window", or a cell such as "lstm"."""
    if isinstance(config, NGramConfig):
        return "n-gram"
    return config.model.cell if config.model.model == "recurrent" else config.model.model


def kind_in_words(config: Config) -> str:
    """Names the kind in a sentence, with its article: "an n-gram model", "a window", "a recurrent network"."""
    if isinstance(config, NGramConfig):
        return "an n-gram model"
    return "a window" if config.model.model == "window" else "a recurrent network"


def scores_of(config: Config) -> str | None:
    """The method whose numbers do not sum to one, so that there is no perplexity; None where they are probabilities."""
    return config.method if isinstance(config, NGramConfig) and not sums_to_one(config.method) else None


def required_mode(config: Config) -> str | None:
    """The mode in which the model has to read a text; None where it reads it alike in every mode."""
    return None if isinstance(config, NGramConfig) else config.mode


def load_model(run: OpenedRun) -> tuple[LanguageModel, Params]:
    """The model of a run and the parameters of its best step, on one device, whatever it was trained on.

    Raises UserError for a run without a checkpoint.
    """
    if isinstance(run.config, NGramConfig):
        tables = jax.tree.map(jnp.asarray, ngram_of(run).tables)
        return ngram_lm(tables.order, len(run.vocabulary), run.vocabulary.eol_id), tables
    states = RunFolder(run.path).states
    if not states.is_dir() or not any(child.name.isdigit() for child in states.iterdir()):
        raise UserError(f"a run can be loaded once it has a checkpoint, got {run.path} without one")
    settings = run.config.model
    if settings.recurrence == "cudnn":  # a way to train on one kind of machine; every engine reads its parameters
        settings = dataclasses.replace(settings, recurrence="auto")
    model = from_config(settings, len(run.vocabulary))
    template = jax.eval_shape(model.init, jax.random.key(0))
    with Checkpoints(states) as checkpoints:
        return model, checkpoints.load_params(template)


class NGramModel(NamedTuple):
    """The settings of an n-gram run and its tables as numpy arrays."""

    config: NGramConfig
    tables: BackoffParams


def ngram_of(run: OpenedRun) -> NGramModel:
    """The n-gram model of a run. Raises UserError for a run of another kind."""
    if not isinstance(run.config, NGramConfig):
        raise UserError(f"this is for runs of n-gram models, got {run.path}, a run of {kind_name(run.config)}")
    return NGramModel(run.config, load_tables(RunFolder(run.path).tables, len(run.vocabulary)))


def has_user_cell(config: Config) -> bool:
    """Whether the recurrent network was trained with a user's own cell, whose code a run folder does not hold."""
    return hasattr(getattr(getattr(config, "model", None), "cell", None), "factory")


def recurrent_layers(config: Config) -> int | None:
    """How many layers the recurrent network has; None for a model without one."""
    return None if isinstance(config, NGramConfig) or config.model.model == "window" else config.model.layers


def opened_of(model: LanguageModel) -> RecurrentLM | None:
    """The model opened at its hidden states; None for a model without a recurrent network."""
    return model if isinstance(model, RecurrentLM) else None
