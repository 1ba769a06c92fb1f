"""From a configuration and a corpus to everything that a training run needs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lm_jax.cells.engines.selection import engine
from lm_jax.config import TrainConfig
from lm_jax.data.batching import Batches
from lm_jax.data.corpora import Corpus
from lm_jax.models.build import from_config
from lm_jax.models.language_model import LanguageModel
from lm_jax.runs.results import count_parameters, unknown_rate
from lm_jax.runs.telemetry import build_telemetry
from lm_jax.training import loop
from lm_jax.training.averaging import ema, running_mean
from lm_jax.training.devices import ONE_DEVICE, Devices
from lm_jax.training.losses import cross_entropy, regularised_cross_entropy, scheduled_sampling
from lm_jax.training.optimizers import build_optimizer, build_schedule
from lm_jax.training.state import TrainState, TrainStepsFn, build_train_steps, create_state
from lm_jax.types import Params


class Setup(NamedTuple):
    """What a configuration and a corpus determine: everything but the numbers that training changes.

    measure: from parameters and a gradient norm to telemetry; None where there is none.
    """

    config: TrainConfig
    corpus: Corpus
    model: LanguageModel
    batches: Batches
    devices: Devices
    plan: loop.Plan
    learning_rate: Callable[[int], float]
    train_steps: TrainStepsFn
    create: Callable[[], TrainState]
    measure: Callable[[Params, float], dict[str, Any]] | None


def build_batches(config: TrainConfig, corpus: Corpus) -> Batches:
    """The training batches of a corpus."""
    return Batches(
        tokens=corpus.train,
        eol_id=corpus.vocabulary.eol_id,
        batch_size=config.batch_size,
        bptt=config.bptt,
        mode=config.mode,
        seed=config.seed,
        random_bptt=config.random_bptt,
    )


def total_steps(config: TrainConfig, batches: Batches) -> int:
    """The length of the run in steps."""
    return config.steps or config.epochs * batches.steps_per_epoch


def set_up(config: TrainConfig, corpus: Corpus, horizon: int, devices: Devices = ONE_DEVICE) -> Setup:
    """Everything that a run needs but its numbers.

    horizon: the steps of the run as first started, over which a cosine falls however long it goes on.
    devices: where it trains.
    """
    batches = build_batches(config, corpus)
    model = from_config(config.model, len(corpus.vocabulary))
    total = total_steps(config, batches)
    averaged = config.optimizer.averaging
    schedule = build_schedule(config.optimizer, horizon)
    optimizer = build_optimizer(config.optimizer, schedule)
    plan = loop.Plan(
        steps=total,
        log_every=config.log_every,
        eval_every=config.eval_every or batches.steps_per_epoch,
        checkpoint_every=config.checkpoint_every,
        patience=config.patience,
        decay_factor=config.optimizer.decay_factor if config.optimizer.schedule == "plateau" else None,
        nonmono=config.optimizer.nonmono if averaged == "ntasgd" else None,
        telemetry_every=config.telemetry_every,
    )
    train_steps = build_train_steps(
        model,
        _loss(config, model),
        optimizer,
        bptt=config.bptt,
        steps_per_epoch=batches.steps_per_epoch,
        mode=config.mode,
        eol_id=batches.eol_id,
        clip=config.optimizer.clip,
        accumulate=config.accumulate,
        update_average={"none": None, "ema": ema(config.optimizer.ema_decay), "ntasgd": running_mean()}[averaged],
        hold=devices.hold,
        hold_rows=devices.hold_rows,
    )

    def create():
        return devices.place(create_state(model, optimizer, config.batch_size, config.seed, averaged != "none"))

    return Setup(
        config=config,
        corpus=corpus,
        model=model,
        batches=batches,
        devices=devices,
        plan=plan,
        learning_rate=schedule,
        train_steps=devices.over(train_steps),
        create=create,
        measure=build_telemetry(config, corpus, model) if config.telemetry_every else None,
    )


def _loss(config, model):
    loss = cross_entropy(model)
    if config.activation_reg or config.temporal_reg:
        loss = regularised_cross_entropy(model, config.activation_reg, config.temporal_reg)
    if config.scheduled_sampling:
        loss = scheduled_sampling(loss, model, config.scheduled_sampling)
    return loss


def engine_name(config: TrainConfig) -> str | None:
    """Such as "fused (auto)": what the recurrence is computed by; None for a model without one."""
    if config.model.model == "window":
        return None
    recurrence = config.model.recurrence
    return f"{engine(recurrence)} (auto)" if recurrence == "auto" else recurrence


def model_name(config: TrainConfig) -> str:
    """Such as "LSTM 1x256" or "window-4 1x256"."""
    model = config.model
    kind = f"window-{model.window}" if model.model == "window" else model.cell.upper()
    return f"{kind} {model.layers}x{model.hidden_size}"


def start_facts(setup: Setup, run: Path, state: TrainState) -> dict[str, Any]:
    """What is told of a run in the folder `run` before its next step, as plain values."""
    devices = setup.devices
    shards = f", {devices.vocab_shards} for the vocabulary" if devices.vocab_shards > 1 else ""
    processes = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
    return {
        "device": f"{jax.devices()[0].device_kind} x {devices.count}{shards}{processes}",
        "model": model_name(setup.config),
        "engine": engine_name(setup.config),
        "parameters": count_parameters(state.params),
        "vocabulary": len(setup.corpus.vocabulary),
        "level": setup.config.data.level,
        "corpus": setup.corpus.source,
        "tokens_per_epoch": len(setup.corpus.train),
        "bytes_per_token": setup.corpus.bytes["train"] / len(setup.corpus.train),
        "unk_rate": unknown_rate(setup.corpus.vocabulary, setup.corpus.train),
        "steps": setup.plan.steps,
        "steps_per_epoch": setup.batches.steps_per_epoch,
        "first_step": int(state.step),
        "run": str(run),
    }
