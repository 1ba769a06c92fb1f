"""Opening a finished or stopped run."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm_jax.data.vocabulary import Vocabulary
from lm_jax.errors import UserError
from lm_jax.models.build import from_config
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.ngram.model import ngram_lm
from lm_jax.models.ngram.storage import load_tables
from lm_jax.runs.folder import RunFolder
from lm_jax.training.checkpoints import Checkpoints
from lm_jax.types import Params


class Loaded(NamedTuple):
    """A model, the parameters of its best step, and its vocabulary."""

    model: LanguageModel
    params: Params
    vocabulary: Vocabulary


def load(run: str | Path) -> Loaded:
    """(model, params, vocabulary) of a run folder: the best step, on one device, whatever it was trained on.

    Raises UserError for a folder that is no run or has no checkpoint yet.
    """
    folder = RunFolder(Path(run))
    config, _, vocabulary = folder.read()
    if config.family == "ngram":
        tables = jax.tree.map(jnp.asarray, load_tables(folder.tables, len(vocabulary)))
        return Loaded(ngram_lm(tables.order, len(vocabulary), vocabulary.eol_id), tables, vocabulary)
    if not folder.states.is_dir() or not any(child.name.isdigit() for child in folder.states.iterdir()):
        raise UserError(f"a run can be loaded once it has a checkpoint, got {run} without one")
    settings = config.model
    if settings.recurrence == "cudnn":  # a way to train on one kind of machine; every engine reads its parameters
        settings = dataclasses.replace(settings, recurrence="auto")
    model = from_config(settings, len(vocabulary))
    template = jax.eval_shape(model.init, jax.random.key(0))
    with Checkpoints(folder.states) as states:
        return Loaded(model, states.load_params(template), vocabulary)
