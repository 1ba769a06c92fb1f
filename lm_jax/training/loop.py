"""The training loop: it knows a state, a function that advances it, and functions to call at the right steps.

Between two reports nothing is fetched from the device but a scalar that says a dispatch is done. Validations,
reports, checkpoints and stops happen at steps that depend on the configuration only, so a run that was stopped and
resumed does the same things at the same steps as one that never was.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.data.batching import Batches, Streams
from lm_jax.errors import UserError
from lm_jax.training.averaging import has_stalled, trigger
from lm_jax.training.devices import ONE_DEVICE, Devices
from lm_jax.training.processes import on_first, smallest
from lm_jax.training.state import TrainState, TrainStepsFn
from lm_jax.types import Params


Result = TypeVar("Result")
SECONDS_PER_DISPATCH = 1.0
ADVICE = "the run keeps its checkpoints from before; lower --learning-rate or --clip"


class Diverged(UserError):
    """The loss is no longer a number; nothing of that state was saved."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """When to do what, in steps. decay_factor is None unless the learning rate falls on a plateau, nonmono unless a
    stalled validation loss starts the averaging of weights, telemetry_every unless the model is measured on the way."""

    steps: int
    log_every: int
    eval_every: int
    checkpoint_every: int | None = None
    patience: int | None = None
    decay_factor: float | None = None
    nonmono: int | None = None
    telemetry_every: int | None = None

    def next_stop(self, step: int, steps_per_epoch: int) -> int:
        """The first step after `step` at which something happens on the host."""
        intervals = [self.log_every, self.eval_every, self.checkpoint_every, self.telemetry_every, steps_per_epoch]
        return min(self.steps, *(step - step % every + every for every in intervals if every))


@dataclasses.dataclass
class History:
    """What the host remembers from validation to validation; JSON in every checkpoint."""

    best_valid_loss: float | None = None
    best_step: int | None = None
    misses: int = 0  # validations in a row without improvement
    finished: bool = False  # patience ran out
    valid_losses: list[float] = dataclasses.field(default_factory=list)

    def note(self, step: int, valid_loss: float) -> bool:
        """Takes a validation in; True if it is the best so far."""
        self.valid_losses.append(valid_loss)
        if math.isfinite(valid_loss) and (self.best_valid_loss is None or valid_loss < self.best_valid_loss):
            self.best_valid_loss, self.best_step, self.misses = valid_loss, step, 0
            return True
        self.misses += 1
        return False


class Hooks(NamedTuple):
    """What the loop calls. Records are dicts of plain numbers; see `fit` for their keys."""

    validate: Callable[[Params], float]
    save: Callable[[TrainState, dict[str, Any], float | None], None]
    on_report: Callable[[dict[str, Any], dict[str, Any]], None]
    on_validation: Callable[[dict[str, Any], Params], None]
    on_dispatch: Callable[[int], None] = lambda step: None
    on_telemetry: Callable[[dict[str, Any], Params], None] = lambda record, params: None
    should_stop: Callable[[], bool] = lambda: False


class Dispatch(NamedTuple):
    """Steps that a run asks for: as for `TrainStepsFn`. They may be fewer."""

    state: TrainState
    streams: Streams
    count: int
    length: int


class Done(NamedTuple):
    """What it gets: the state after `count` steps, and the seconds that they took."""

    state: TrainState
    count: int
    seconds: float


Course = Generator[Dispatch, Done, Result]


def drive(train_steps: TrainStepsFn, course: Course[Result]) -> Result:
    """Does what a course asks for, to its end; returns what it returns."""
    done = None
    with contextlib.closing(course):
        while True:
            try:
                state, streams, count, length = course.send(done)
            except StopIteration as end:
                return end.value
            started = time.perf_counter()
            state = train_steps(state, streams, count, length=length)
            jax.block_until_ready(state.step)
            done = Done(state, count, time.perf_counter() - started)


def fit(
    state: TrainState,
    train_steps: TrainStepsFn,
    batches: Batches,
    plan: Plan,
    hooks: Hooks,
    learning_rate: Callable[[int], float],
    history: History | None = None,
) -> tuple[TrainState, History]:
    """Trains until the plan's last step: `course` with its steps done."""
    return drive(train_steps, course(state, batches, plan, hooks, learning_rate, history))


def course(
    state: TrainState,
    batches: Batches,
    plan: Plan,
    hooks: Hooks,
    learning_rate: Callable[[int], float],
    history: History | None = None,
    devices: Devices = ONE_DEVICE,
) -> Course[tuple[TrainState, History]]:
    """Trains until the plan's last step, until patience runs out, or until asked to stop; saves the last state.

    Whoever drives it does the steps, so that several runs can be driven side by side. devices: where they are done.

    on_report gets step, loss, perplexity, grad_norm (mean, before clipping), clipped (share of steps) and
    learning_rate, and apart from them step, seconds and tokens_per_second (None before anything was timed).
    on_telemetry gets step and grad_norm (mean since the last report), and the parameters as they are trained.
    on_validation gets step, valid_loss, valid_perplexity and best. Raises Diverged if the loss is not finite; the
    checkpoints before stay.
    """
    history = history or History()
    step = int(state.step)
    meter = Meter()
    streams, lengths, epoch = None, None, None
    while step < plan.steps and not history.finished:
        most = smallest(0 if hooks.should_stop() else meter.count)
        if most == 0:
            break
        if epoch != step // batches.steps_per_epoch:
            epoch = step // batches.steps_per_epoch
            streams = devices.place_streams(batches.epoch(epoch))
            lengths = batches.chunk_lengths(epoch)
        count = min(plan.next_stop(step, batches.steps_per_epoch) - step, most)
        count, length = _equal_lengths(lengths[step % batches.steps_per_epoch :][:count])
        state, count, seconds = yield Dispatch(state, streams, count, length)
        meter.note(count, length, seconds)
        step += count
        hooks.on_dispatch(step)
        if plan.telemetry_every and step % plan.telemetry_every == 0:  # before a report begins new sums
            hooks.on_telemetry({"step": step, "grad_norm": _mean_grad_norm(state.totals)}, state.params)
        if step % plan.log_every == 0:
            state = _report(state, step, hooks, learning_rate, meter)
        if step % plan.eval_every == 0:
            state = _validate(state, step, plan, hooks, history)
        elif plan.checkpoint_every and step % plan.checkpoint_every == 0 and step < plan.steps:
            _save(state, history, hooks, None)
    _close(state, step, plan, hooks, history)
    return state, history


class Meter:
    """Times dispatches: how many steps make about a second (a stop is answered within that), and steps per second."""

    def __init__(self):
        self.count = 1  # steps to put into the next dispatch
        self._compiled: set[int] = set()
        self._steps, self._seconds = 0, 0.0

    def note(self, count: int, length: int, seconds: float) -> None:
        """Takes in how long `count` steps took; the first of a length compiles and says nothing."""
        if length not in self._compiled:
            self._compiled.add(length)
            return
        self._steps, self._seconds = self._steps + count, self._seconds + seconds
        wanted = int(SECONDS_PER_DISPATCH * count / max(seconds, 1e-6))
        self.count = max(1, min(wanted, 2 * self.count + 8))

    def read(self) -> tuple[float, float | None]:
        """Seconds spent on steps since the last reading, and steps per second (None if nothing was timed)."""
        steps, seconds = self._steps, self._seconds
        self._steps, self._seconds = 0, 0.0
        return seconds, steps / seconds if steps else None


def _equal_lengths(lengths):
    """How many chunks from here on are as long as the first, and how long that is: they go into one dispatch."""
    different = np.flatnonzero(lengths != lengths[0])
    return int(different[0]) if len(different) else len(lengths), int(lengths[0])


def _report(state, step, hooks, learning_rate, meter):
    totals = jax.tree.map(np.asarray, state.totals)
    loss = float(totals.nll) / max(1, int(totals.tokens))
    _check_finite(loss, step)
    record = {
        "step": step,
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),
        "grad_norm": _mean_grad_norm(totals),
        "clipped": int(totals.clipped) / int(totals.steps),
        "learning_rate": float(learning_rate(step - 1)) * float(state.learning_rate_scale),
    }
    seconds, steps_per_second = meter.read()
    speed = None if steps_per_second is None else steps_per_second * int(totals.tokens) / int(totals.steps)
    hooks.on_report(record, {"step": step, "seconds": seconds, "tokens_per_second": speed})
    return state.replace(totals=jax.tree.map(jnp.zeros_like, state.totals))  # where they were


def _mean_grad_norm(totals):
    return float(totals.grad_norm) / int(totals.steps)


def _validate(state, step, plan, hooks, history):
    _check_state(state)
    valid_loss = _validation_loss(state, hooks)
    best = history.note(step, valid_loss)
    if plan.nonmono is not None and state.average.count == 0 and has_stalled(history.valid_losses, plan.nonmono):
        state = state.replace(average=trigger(state.average))
    if not best and plan.decay_factor is not None:
        state = state.replace(learning_rate_scale=state.learning_rate_scale * plan.decay_factor)
    history.finished = plan.patience is not None and history.misses >= plan.patience
    hooks.on_validation(_validation_record(step, valid_loss, best), state.evaluation_params)
    _save(state, history, hooks, valid_loss)
    return state


def _validation_loss(state, hooks):
    """Of process 0 for all: they decide by it what to do next."""
    valid_loss = hooks.validate(state.evaluation_params)
    return on_first(lambda: valid_loss)


def _validation_record(step, valid_loss, best):
    return {
        "step": step,
        "valid_loss": valid_loss,
        "valid_perplexity": math.exp(min(valid_loss, 700.0)),
        "best": best,
    }


def _close(state, step, plan, hooks, history):
    """The last state, if it was not saved at a validation. At the planned end it is validated too, on the record only:
    a run that goes on from here later must find its schedule as if it had never ended."""
    if step % plan.eval_every == 0 and step > 0:
        return
    _check_state(state)
    valid_loss = None
    if step >= plan.steps:
        valid_loss = _validation_loss(state, hooks)
        best = history.best_valid_loss is not None and valid_loss < history.best_valid_loss
        hooks.on_validation({**_validation_record(step, valid_loss, best), "closing": True}, state.evaluation_params)
    _save(state, history, hooks, valid_loss)


def _save(state, history, hooks, valid_loss):
    _check_state(state)
    hooks.save(state, dataclasses.asdict(history), valid_loss)


def _check_state(state):
    _check_finite(float(state.totals.nll), int(state.step))
    if not _all_finite(state.params):
        raise Diverged(f"the parameters must stay finite, got inf or nan by step {int(state.step)}: {ADVICE}")


def _check_finite(loss, step):
    if not math.isfinite(loss):
        raise Diverged(f"the loss must stay finite, got {loss} by step {step}: {ADVICE}")


@jax.jit
def _all_finite(params):
    return jax.tree.reduce(jnp.logical_and, jax.tree.map(lambda p: jnp.isfinite(p).all(), params))
