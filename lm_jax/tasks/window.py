"""The task of a language model that looks back over a fixed window of tokens."""

from lm_jax.config import TrainConfig
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.errors import UserError
from lm_jax.models.window import position_norms
from lm_jax.tasks import language_model as lm
from lm_jax.tasks.base import Task


def _name(settings):
    model = settings.model
    return f"window-{model.window} {model.layers}x{model.hidden_size}"


def _close(settings, corpus, model, params, key, progress):
    norms = position_norms(params).tolist()
    words = " ".join(f"{norm:.1f}" for norm in norms)
    remark = f"norms of the weights of each position, the newest first: {words}"
    closing = lm.close(settings, corpus, model, params, key, progress, _name(settings))
    return closing._replace(record={"position_norms": norms}, remarks=(remark,))


def _check_seeds(settings):
    if settings.random_bptt:  # every seed has its own lengths of chunks
        raise UserError(f"random_bptt must be left out with several seeds, got {settings.random_bptt}", ["random_bptt"])


WINDOW = Task(
    config=TrainConfig,
    name=_name,
    folder_name=lambda settings: f"window-{settings.data.level}",
    family=lambda settings: "window",
    load=lm.load,
    read_vocabulary=Vocabulary.load,
    model=lm.model,
    batches=lm.batches,
    loss=lm.loss,
    validate=lm.validate,
    close=_close,
    sample=lm.sample,
    evaluate=lm.evaluate,
    metrics=lm.metrics,
    columns=lm.columns,
    loss_label=lm.loss_label,
    check_seeds=_check_seeds,
    required_mode=lambda settings: settings.mode,
    with_absolute_paths=lm.with_absolute_paths,
    movable=("data",),
    unit="tokens",
)
