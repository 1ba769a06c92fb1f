"""The task of a causal Transformer as a language model."""

from lm_jax.tasks import language_model as lm
from lm_jax.tasks.base import TelemetryKind
from lm_jax.tasks.telemetry import build_telemetry, draw_telemetry


def _name(settings):
    model = settings.model
    return f"attention-{model.context} {model.layers}x{model.hidden_size}"


def _choose(settings, corpus):
    """Takes a lower rate than a recurrent network: on the default text, 250 steps, 2e-3 is better than 5e-3."""
    return lm.choose(settings, corpus, rate=0.4)


def _close(settings, corpus, model, params, key, progress):
    return lm.close(settings, corpus, model, params, key, progress, _name(settings))


ATTENTION = lm.language_model_task(
    name=_name,
    folder_name=lambda settings: f"attention-{settings.data.level}",
    family=lambda settings: "attention",
    loss=lm.loss,
    choose=_choose,
    close=_close,
    telemetry=TelemetryKind(build_telemetry, draw_telemetry),
    check_seeds=lm.check_seeds,
)
