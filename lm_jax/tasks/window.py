"""The task of a language model that looks back over a fixed window of tokens."""

from lm_jax.models.window import position_norms
from lm_jax.tasks import language_model as lm


def _name(settings):
    model = settings.model
    return f"window-{model.window} {model.layers}x{model.hidden_size}"


def _close(settings, corpus, model, params, key, progress):
    norms = position_norms(params).tolist()
    words = " ".join(f"{norm:.1f}" for norm in norms)
    remark = f"norms of the weights of each position, the newest first: {words}"
    closing = lm.close(settings, corpus, model, params, key, progress, _name(settings))
    return closing._replace(record={"position_norms": norms}, remarks=(*closing.remarks, remark))


WINDOW = lm.language_model_task(
    name=_name,
    folder_name=lambda settings: f"window-{settings.data.level}",
    family=lambda settings: "window",
    loss=lm.loss,
    close=_close,
    check_seeds=lm.check_seeds,
)
