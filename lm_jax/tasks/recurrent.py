"""The task of a recurrent language model."""

import dataclasses
from typing import get_args, get_type_hints

from lm_jax.cells.engines.selection import engine
from lm_jax.config import cell_title
from lm_jax.config.text_defaults import UNCHOSEN
from lm_jax.errors import UserError
from lm_jax.tasks import language_model as lm
from lm_jax.tasks.base import TelemetryKind
from lm_jax.tasks.sampled_inputs import with_sampled_inputs
from lm_jax.tasks.telemetry import build_telemetry, draw_telemetry
from lm_jax.training.losses import cross_entropy, regularised_cross_entropy


OF_ONE_MACHINE = ("cudnn", "pallas")  # engines that run on one kind of machine only


def _cell_name(settings):
    """Such as lstm; of a user's own cell FILE.py:NAME the last part."""
    return settings.model.cell.kind.rpartition(":")[2]


def _name(settings):
    return f"{cell_title(_cell_name(settings))} {settings.model.layers}x{settings.model.hidden_size}"


def _model(settings, vocabulary):
    if settings.devices > 1 and _recurrence(settings) == "pallas":
        raise UserError("recurrence must be another than pallas on several devices, got pallas", ["recurrence"])
    return lm.model(settings, vocabulary)


def _recurrence(settings):
    return getattr(settings.model.cell, "recurrence", None)


def _loss(settings, model):
    penalties = settings.model.activation_reg, settings.model.temporal_reg
    loss = regularised_cross_entropy(model, *penalties) if any(penalties) else cross_entropy(model)
    return with_sampled_inputs(loss, settings, model)


def _engine(settings):
    """What runs the training steps; what auto means is known for the cells that have the fused engine."""
    cell, recurrence = settings.model.cell, _recurrence(settings)
    if recurrence != "auto" or "fused" not in get_args(get_type_hints(type(cell))["recurrence"]):
        return recurrence
    shape = settings.batch_size, settings.bptt or UNCHOSEN.bptt, settings.model.hidden_size
    return f"{engine(recurrence, cell.kind, shape, settings.devices > 1)} (auto)"


def _close(settings, corpus, model, params, key, progress):
    return lm.close(settings, corpus, model, params, key, progress, _name(settings))


def _check_seeds(settings):
    lm.check_seeds(settings)
    if _recurrence(settings) == "cudnn":  # it has no vmap
        raise UserError("recurrence must be another than cudnn with several seeds, got cudnn", ["recurrence"])


def _for_any_machine(settings):
    """A run on cudnn was trained on one kind of machine, one on pallas too; every engine reads their parameters."""
    if _recurrence(settings) not in OF_ONE_MACHINE:
        return settings
    cell = dataclasses.replace(settings.model.cell, recurrence="auto")
    return dataclasses.replace(settings, model=dataclasses.replace(settings.model, cell=cell))


RECURRENT = lm.language_model_task(
    name=_name,
    model=_model,
    folder_name=lambda settings: f"{_cell_name(settings)}-{settings.data.level}",
    family=_cell_name,
    loss=_loss,
    close=_close,
    telemetry=TelemetryKind(build_telemetry, draw_telemetry),
    engine=_engine,
    check_seeds=_check_seeds,
    for_any_machine=_for_any_machine,
)
