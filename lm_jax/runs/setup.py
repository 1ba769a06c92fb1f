"""From a task, its settings and data to everything that a training run needs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from lm_jax.config import RunConfig
from lm_jax.config.text_defaults import UNCHOSEN
from lm_jax.errors import UserError
from lm_jax.tasks import TASKS, MeasureFn, Pretrained, Task
from lm_jax.training.batch_source import BatchSource
from lm_jax.training.devices import ONE_DEVICE, Devices
from lm_jax.training.listener import Start
from lm_jax.training.optimizers import build_averaging, build_optimizer, build_schedule
from lm_jax.training.plan import Plan
from lm_jax.training.recovery import SPIKE_AFTER, Guard, policy_of
from lm_jax.training.state import TrainState, TrainStepsFn, build_train_steps, create_state
from lm_jax.types import Params


class Setup(NamedTuple):
    """Everything that settings and data determine: all but the numbers that training changes.

    horizon: the steps of the run as first started. create: makes the state before the first step. measure: telemetry,
    None where there is none. chosen: settings that a user left to the data, with their values.
    """

    task: Task
    config: RunConfig
    data: Any
    model: Any
    batches: BatchSource
    devices: Devices
    plan: Plan
    horizon: int
    learning_rate: Callable[[int], Any]
    train_steps: TrainStepsFn
    create: Callable[[], TrainState]
    measure: MeasureFn | None
    chosen: Mapping[str, Any] = {}


def set_up(
    task: Task,
    config: RunConfig,
    data: Any,
    horizon: int | None = None,
    devices: Devices = ONE_DEVICE,
    pretrained: Pretrained | None = None,
) -> Setup:
    """Makes everything that a run needs but its numbers.

    Args:
        task: what is trained.
        config: its settings.
        data: loaded by the task.
        horizon: steps over which a cosine falls, whatever the length of the run; default: the steps of these settings.
        devices: where it trains.
        pretrained: another run, whose parameters this one begins with.

    Raises:
        UserError: for telemetry of a task that has none, for spikes that cannot be gone back from, and for what task
            and devices refuse.
    """
    if config.telemetry_every and task.telemetry is None:
        able = ", ".join(name for name, one in TASKS.items() if one.telemetry is not None)
        got = f"{task.name(config)}, got {config.telemetry_every}"
        raise UserError(f"telemetry_every is for the tasks {able}, and must be left out with {got}", PERIOD)
    model = task.model(config, data.vocabulary)
    devices = _devices_of(model, devices)
    if task.batches is None or task.loss is None:
        raise UserError(f"steps are trained of a task that has batches and a loss, got {task.name(config)}")
    batches = task.batches(config, data, model)
    plan = make_plan(config, batches)
    _check_spikes(config, plan)
    horizon = plan.steps if horizon is None else horizon
    schedule = build_schedule(config.optimizer, horizon)
    optimizer = build_optimizer(config.optimizer, schedule)
    update_average = build_averaging(config.optimizer)
    train_steps = build_train_steps(
        task.loss(config, model),
        batches,
        optimizer,
        clip=config.optimizer.clip,
        accumulate=config.accumulate,
        update_average=update_average,
        hold=devices.hold,
        hold_rows=devices.hold_rows,
        guard=Guard(plan.policy, schedule, config.optimizer.clip),
    )

    def init(key):
        params = jax.jit(model.init)(key)
        return params if task.warm_start is None else task.warm_start(config, data, params, pretrained)

    def create():
        state = create_state(init, batches, optimizer, config.seed, update_average is not None, guarded=True)
        return devices.place(state)

    return Setup(
        task=task,
        config=config,
        data=data,
        model=model,
        batches=batches,
        devices=devices,
        plan=plan,
        horizon=horizon,
        learning_rate=schedule,
        train_steps=devices.over(train_steps),
        create=create,
        measure=task.telemetry.build(config, data, model) if config.telemetry_every and task.telemetry else None,
    )


PERIOD = ("telemetry_every",)


def _check_spikes(config, plan):
    """Refuses to go back from spikes where nothing would."""
    if config.on_spike != "rollback":
        return
    if plan.steps <= SPIKE_AFTER:
        rule = f"on_spike=rollback needs more than {SPIKE_AFTER} steps, the first to tell a spike by"
        raise UserError(f"{rule}, got {plan.steps}", ["on_spike", "steps"])
    if jax.process_count() > 1:
        got = f"{jax.process_count()} processes"
        raise UserError(f"on_spike=rollback needs one process, which has the whole state, got {got}", ["on_spike"])


def _devices_of(model, devices):
    """The devices with the vocabulary axes of the model, if it has any."""
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    vocab_axes = getattr(model, "vocab_axes", None)
    return devices.for_model(shapes, None if vocab_axes is None else vocab_axes(shapes))


def make_plan(config: RunConfig, batches: BatchSource) -> Plan:
    """Says when a run with these settings reports, validates and saves."""
    optimizer = config.optimizer
    return Plan(
        steps=config.steps or (config.epochs or UNCHOSEN.epochs) * batches.steps_per_epoch,
        log_every=config.log_every,
        eval_every=config.eval_every or batches.steps_per_epoch,
        checkpoint_every=config.checkpoint_every,
        patience=config.patience,
        decay_factor=getattr(optimizer.schedule, "decay_factor", None),
        nonmono=getattr(optimizer.averaging, "nonmono", None),
        telemetry_every=config.telemetry_every,
        policy=policy_of(config.on_nonfinite, config.on_spike),
        good_states=config.good_states,
    )


def count_parameters(params: Params) -> int:
    """Counts the numbers in a pytree of arrays."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def start_of(setup: Setup, run: Path, state: TrainState, mirror: str | Path | None = None) -> Start:
    """Describes a run before its next step.

    Args:
        setup: Its setup.
        run: Its folder.
        state: Its state.
        mirror: The folder of its copies; None for none.
    """
    task, config, devices = setup.task, setup.config, setup.devices
    shards = f", {devices.vocab_shards} for the vocabulary" if devices.vocab_shards > 1 else ""
    processes = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
    return Start(
        device=f"{jax.devices()[0].device_kind} x {devices.count}{shards}{processes}",
        model=task.name(config),
        engine=task.engine(config),
        parameters=count_parameters(state.params),
        data=tuple(setup.data.phrases),
        source=setup.data.source,
        steps=setup.plan.steps,
        steps_per_epoch=setup.batches.steps_per_epoch,
        first_step=int(state.step),
        targets_per_epoch=setup.batches.targets_per_epoch,
        unit=task.unit,
        columns=task.columns(setup.data),
        command=task.command,
        run=str(run),
        mirror=None if mirror is None else str(mirror),
        chosen={name: value for name, value in setup.chosen.items() if not (name == "epochs" and config.steps)},
    )
